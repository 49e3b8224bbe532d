"""The methods that are compared, one file each: constants, searches, rivals' libraries, and our own agents."""
