"""Tables: labeled records, and hourly rain."""
