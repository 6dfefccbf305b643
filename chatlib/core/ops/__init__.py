"""What whoever operates an app asks it: is it alive, is it ready, what does it do."""
