//! What the program shows of itself: log lines on standard error, metrics for Prometheus.
//!
//! Standard output belongs to the answers of commands, so nothing here writes to it. Record contents never become a
//! log field or a metric label; members, nodes, origins, error codes and counts do.

use std::io::IsTerminal;

use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// The environment variable that overrides `log.filter` for one run.
pub const FILTER_VARIABLE: &str = "ICOMM_LOG";

/// Upper bounds of the latency histograms, in seconds: from a hash check to a slow link's round trip.
const LATENCY_BUCKETS: &[f64] = &[
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Why the program can't show what it does.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The operator's filter is not one.
    #[error(
        "`{filter}` is not a log filter (`log.filter` or `{FILTER_VARIABLE}`); try `info` or `info,icomm_node::link=debug`"
    )]
    Filter {
        /// As given.
        filter: String,
        /// What the parser says.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Log lines are already going somewhere.
    #[error("logging is already set up in this process")]
    Tracing(#[source] tracing_subscriber::util::TryInitError),
    /// Metrics are already being collected.
    #[error("metrics are already collected in this process")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
}

/// Starts log lines on standard error.
///
/// # Errors
/// The filter can't be read, or the process has set logging up before.
pub fn start_log(log: &Log) -> Result<(), ObserveError> {
    let filter = std::env::var(FILTER_VARIABLE).unwrap_or_else(|_| log.filter.clone());
    let parsed = EnvFilter::try_new(&filter).map_err(|source| ObserveError::Filter { filter, source })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(parsed))
        .try_init()
        .map_err(ObserveError::Tracing)
}

/// Starts collecting metrics; the handle renders them for Prometheus.
///
/// # Errors
/// The process collects metrics already.
pub fn start_metrics() -> Result<PrometheusHandle, ObserveError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), LATENCY_BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(ObserveError::Metrics)?;
    describe_gauge!(
        "icomm_build_info",
        "Always 1; the label tells the version of the program."
    );
    gauge!("icomm_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// The one recorder that all tests of this process share.
#[cfg(test)]
pub(crate) fn metrics_of_tests() -> &'static PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    HANDLE.get_or_init(|| start_metrics().unwrap())
}

#[cfg(test)]
mod tests {
    use super::{ObserveError, metrics_of_tests, start_log, start_metrics};
    use crate::config::Log;

    #[test]
    fn a_filter_that_is_none_is_refused_before_anything_starts() {
        let log = Log {
            filter: "info,=,icomm=loud".into(),
            ..Log::default()
        };
        let error = start_log(&log).unwrap_err();
        assert!(matches!(error, ObserveError::Filter { .. }));
        assert!(
            error.to_string().starts_with("`info,=,icomm=loud` is not a log filter"),
            "{error}"
        );
    }

    #[test]
    fn metrics_start_once_and_render_for_prometheus() {
        let handle = metrics_of_tests();
        metrics::histogram!("icomm_test_seconds").record(0.003);
        let text = handle.render();
        assert!(
            text.contains(concat!(
                "icomm_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            )),
            "{text}"
        );
        assert!(text.contains("icomm_test_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(matches!(start_metrics(), Err(ObserveError::Metrics(_))));
    }
}
