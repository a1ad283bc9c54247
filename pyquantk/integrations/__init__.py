"""Bridges to other libraries and file formats. Nothing here is imported until it is asked for."""
