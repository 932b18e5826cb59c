"""What the platform does, one verb phrase a file: accept, materialise, claim, deliver, record, rescue."""
