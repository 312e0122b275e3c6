"""Forms turn what people typed into domain values, or into errors beside the field."""
