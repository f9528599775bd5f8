//! A histogram that every worker observes: each has series of its own, which are added up when they are
//! read. A series that all share moves from core to core with each observation, and costs more the more
//! cores there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, MetricFamily};
use prometheus::{Error, Histogram, HistogramOpts, HistogramVec, Opts, proto};

/// The histogram; clones share it.
#[derive(Clone)]
pub struct SpreadHistogram {
    shared: HistogramVec,
    options: HistogramOpts,
    labels: &'static [&'static str],
    /// Never removed: one for each worker and route that was requested.
    own: Arc<Mutex<Vec<Histogram>>>,
}

/// A histogram with these buckets and labels.
///
/// # Errors
/// [`Error`] if a name or the buckets are not allowed.
pub(super) fn spread(
    opts: Opts,
    buckets: &[f64],
    labels: &'static [&'static str],
) -> Result<SpreadHistogram, Error> {
    let options = HistogramOpts::from(opts).buckets(buckets.to_vec());
    let shared = HistogramVec::new(options.clone(), labels)?;
    Ok(SpreadHistogram { shared, options, labels, own: Arc::default() })
}

impl SpreadHistogram {
    /// The series that all share, for what is rare.
    #[must_use]
    pub fn shared_series(&self, values: &[&str]) -> Histogram {
        self.shared.with_label_values(values)
    }

    /// Another series with these values, for one worker, which has to keep it.
    #[must_use]
    pub fn own_series(&self, values: &[&str]) -> Histogram {
        let labels = self.labels.iter().zip(values);
        let labels: HashMap<_, _> =
            labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        // The options were accepted before, and so were the names; else what all share does as well.
        let Ok(own) = Histogram::with_opts(self.options.clone().const_labels(labels)) else {
            return self.shared_series(values);
        };
        self.own.lock().unwrap_or_else(PoisonError::into_inner).push(own.clone());
        own
    }
}

impl Collector for SpreadHistogram {
    fn desc(&self) -> Vec<&Desc> {
        self.shared.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.shared.collect();
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(family) = families.first_mut() {
            for mut found in own.iter().flat_map(Collector::collect) {
                found.take_metric().into_iter().for_each(|one| add(family.mut_metric(), one));
            }
        }
        families
    }
}

/// Adds a series to the one with the same labels, or to the list.
fn add(series: &mut Vec<proto::Metric>, one: proto::Metric) {
    match series.iter_mut().find(|found| found.get_label() == one.get_label()) {
        Some(found) => found.set_histogram(sum(found.get_histogram(), one.get_histogram())),
        None => series.push(one),
    }
}

/// Both have the same buckets.
fn sum(one: &proto::Histogram, other: &proto::Histogram) -> proto::Histogram {
    let buckets = one.get_bucket().iter().zip(other.get_bucket()).map(|(one, other)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(one.upper_bound());
        bucket.set_cumulative_count(one.cumulative_count() + other.cumulative_count());
        bucket
    });
    let mut sum = proto::Histogram::default();
    sum.set_bucket(buckets.collect());
    sum.set_sample_count(one.get_sample_count() + other.get_sample_count());
    sum.set_sample_sum(one.get_sample_sum() + other.get_sample_sum());
    sum
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn what_each_worker_counts_is_added_up() {
        let waits = spread(Opts::new("waits", "Waits."), &[1.0, 10.0], &["where", "status"]).unwrap();
        let registry = Registry::new();
        registry.register(Box::new(waits.clone())).unwrap();
        std::thread::scope(|scope| {
            for worker in 0..4_u32 {
                let waits = waits.clone();
                scope.spawn(move || {
                    let here = waits.own_series(&["here", "200"]);
                    (0..1_000).for_each(|_| here.observe(f64::from(worker) * 4.0));
                });
            }
        });
        waits.shared_series(&["here", "200"]).observe(0.5);
        waits.shared_series(&["here", "404"]).observe(20.0);
        waits.own_series(&["there", "200"]).observe(2.0);
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            r#"waits_bucket{status="200",where="here",le="1"} 1001"#,
            r#"waits_bucket{status="200",where="here",le="10"} 3001"#,
            r#"waits_bucket{status="200",where="here",le="+Inf"} 4001"#,
            r#"waits_sum{status="200",where="here"} 24000.5"#,
            r#"waits_count{status="200",where="here"} 4001"#,
            r#"waits_bucket{status="404",where="here",le="10"} 0"#,
            r#"waits_count{status="404",where="here"} 1"#,
            r#"waits_count{status="200",where="there"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
