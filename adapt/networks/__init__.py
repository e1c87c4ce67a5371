"""Networks that mmsegmentation lacks: decode heads and segmentors, registered with it by `adapt.openmmlab.registration`."""
