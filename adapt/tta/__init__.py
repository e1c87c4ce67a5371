"""Test-time adaptation: methods that predict a frame and then learn from it without a label, and their streams."""
