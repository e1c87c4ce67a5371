"""A live stream: a method walks over a video or a folder of frames without labels, and its predictions are written."""
