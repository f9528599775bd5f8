//! Reading the Prometheus text of `/metrics`.

use super::client::Client;

pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    pub(crate) async fn read(client: &Client) -> Self {
        Self(client.get("/metrics").await.expect(200).text)
    }

    /// `name{labels} value`, one for each sample.
    fn samples(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            (name, labels, value.parse().unwrap_or(f64::NAN))
        })
    }

    /// The sum over all series of a metric; `None` if there is no such metric.
    pub(crate) fn sum(&self, metric: &str) -> Option<f64> {
        let of_metric = self.samples().filter(|(name, ..)| *name == metric);
        of_metric.map(|(.., value)| value).reduce(|a, b| a + b)
    }

    /// The value of one series, by its name with all its labels.
    #[track_caller]
    pub(crate) fn value(&self, series: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in {}", self.0))
    }

    /// Whether a sample of the metric has a label.
    pub(crate) fn has_label(&self, metric: &str, label: &str) -> bool {
        let label = format!("{label}=\"");
        self.samples().any(|(name, labels, _)| name == metric && labels.contains(&label))
    }

    /// Names of all families with their type.
    pub(crate) fn families(&self) -> Vec<(&str, &str)> {
        let types = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split_once(' ')).collect()
    }
}
