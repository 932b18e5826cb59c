"""The API described: the OpenAPI document and a page to read it with."""
