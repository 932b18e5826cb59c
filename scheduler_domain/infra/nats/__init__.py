"""JetStream: where EVENT and QUEUE occurrences go. nats-py connects; the frames of the hot path are our own."""
