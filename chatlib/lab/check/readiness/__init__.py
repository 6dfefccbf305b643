"""Whether an app, as it runs, is fit to meet the world: what `check.ready` tries."""
