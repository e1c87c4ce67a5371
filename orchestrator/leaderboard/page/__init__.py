"""The pages that leave the lab: one self-contained file each, made from templates, one style and one set of charts."""
