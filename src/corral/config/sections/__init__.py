"""The rows of the settings' table, a class without data for each group; `corral.config.settings` joins them."""
