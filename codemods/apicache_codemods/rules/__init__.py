"""Rules, one file each, named by their codes; `rule.load_rules` finds them."""
