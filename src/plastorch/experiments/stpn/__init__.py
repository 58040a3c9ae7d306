"""STPN, measured."""
