"""SoftHebb, shallow and deep, measured."""
