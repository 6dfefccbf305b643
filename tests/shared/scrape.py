"""What `/metrics` says, taken apart."""

from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """The figures in a text of Prometheus' format."""

    def __init__(self, text):
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    @property
    def names(self):
        """The names of all series of chatlib."""
        return {sample.name for sample in self.samples if sample.name.startswith("chatlib_")}

    def __getitem__(self, name):
        """Return the value of a series without labels, or the sum of those with labels."""
        found = [sample.value for sample in self.samples if sample.name == f"chatlib_{name}"]
        assert found, f"there is no chatlib_{name}"
        return sum(found)

    def by(self, name, label):
        """Return the values of a series, by those of its label, without those that are 0."""
        return {
            sample.labels[label]: sample.value
            for sample in self.samples
            if sample.name == f"chatlib_{name}" and sample.value
        }

    def totals(self):
        """Return all that must not fall, by series."""
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
            if family.type in {"counter", "histogram"} and sample.name.startswith("chatlib_")
        }

    def fallen_since(self, before):
        """Return the totals that are lower than they were, or gone."""
        now = self.totals()
        return {key for key, value in before.totals().items() if now.get(key, -1) < value}
