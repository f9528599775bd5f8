//! Which requests are traced, and where traces are sent; names and forms are those of OpenTelemetry.
//!
//! It must never show the headers: they may contain credentials for the collector.

use percent_encoding::percent_decode_str;

use super::Secret;
use super::origin::normalise;
use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        Form::Other("URL", "`http://HOST[:PORT][/PATH]` or `https://…`, without user, password or query"),
        Preset::Told("none; nothing is traced"),
        "Collector that takes OTLP over HTTP with protobuf, usually on port 4318; `/v1/traces` is added.",
    ),
    Setting::new(
        "OTEL_EXPORTER_OTLP_HEADERS",
        Form::Other("list, secret", "`name=value`, values as in a URL (`Bearer%20…`)"),
        Preset::Unset,
        "Headers sent with every export.",
    )
    .secret(),
    Setting::new("OTEL_SERVICE_NAME", Form::Text, Preset::Told("`SERVICE_NAME`"), "The name in traces."),
    Setting::new(
        "OTEL_TRACES_SAMPLER",
        Form::Word(&[
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ]),
        Preset::Value("parentbased_always_on"),
        "Which requests are traced. With `parentbased_` the caller's `traceparent` decides, and the rest of the name \
         only where there is none.",
    ),
    Setting::new(
        "OTEL_TRACES_SAMPLER_ARG",
        Form::Other("number", "0 to 1"),
        Preset::Value("1"),
        "The share of traces that `traceidratio` takes.",
    ),
];

/// The configuration of tracing.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceConfig {
    /// The collector's address without the signal's path and a trailing slash; `None` means no tracing.
    pub endpoint: Option<String>,
    /// `name=value,…`, sent with every export; [`TraceConfig::headers`] reads it.
    headers: Option<Secret>,
    /// The name in traces.
    pub service_name: String,
    /// Which requests are traced.
    pub sampler: TraceSampler,
    /// The share of traces that a sampler by ratio samples, 0 to 1.
    pub ratio: f64,
}

/// Which requests are traced. Samplers named `Parent…` follow the caller's `traceparent`; without one, they
/// behave as the rest of the name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceSampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A share.
    Ratio,
    /// As the caller, else all.
    ParentAlwaysOn,
    /// As the caller, else none.
    ParentAlwaysOff,
    /// As the caller, else a share.
    ParentRatio,
}

impl TraceSampler {
    const NAMES: &[(&str, TraceSampler)] = &[
        ("always_on", TraceSampler::AlwaysOn),
        ("always_off", TraceSampler::AlwaysOff),
        ("traceidratio", TraceSampler::Ratio),
        ("parentbased_always_on", TraceSampler::ParentAlwaysOn),
        ("parentbased_always_off", TraceSampler::ParentAlwaysOff),
        ("parentbased_traceidratio", TraceSampler::ParentRatio),
    ];
}

impl TraceConfig {
    pub(super) fn parse(source: &mut Source<'_>, service_name: &str) -> Self {
        TraceConfig {
            endpoint: endpoint(source),
            headers: headers(source),
            service_name: source.text_or("OTEL_SERVICE_NAME", service_name),
            sampler: source.choice("OTEL_TRACES_SAMPLER", TraceSampler::NAMES),
            ratio: ratio(source),
        }
    }

    /// Names and values sent with every export.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        self.headers.as_ref().and_then(|text| parse_headers(text.expose())).unwrap_or_default()
    }
}

fn endpoint(source: &mut Source<'_>) -> Option<String> {
    let endpoint = given_endpoint(source);
    source.list_value("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.clone().unwrap_or_default());
    endpoint
}

fn given_endpoint(source: &mut Source<'_>) -> Option<String> {
    let address = source.text("OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let rest =
        address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let is_host = normalise(&format!("http://{host}")).is_some();
    // It may contain a key, so it is not shown.
    if rest.contains(['@', '?', '#']) {
        let wants = "an address without user, password or query; keys go into OTEL_EXPORTER_OTLP_HEADERS";
        source.refuse_secret("OTEL_EXPORTER_OTLP_ENDPOINT", address.len(), wants);
    } else if !is_host || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        source.refuse("OTEL_EXPORTER_OTLP_ENDPOINT", address, "http://HOST[:PORT][/PATH] or https://…");
    }
    Some(address.trim_end_matches('/').to_owned())
}

fn headers(source: &mut Source<'_>) -> Option<Secret> {
    let given = source.text("OTEL_EXPORTER_OTLP_HEADERS").map(Secret::new);
    source.list_secret("OTEL_EXPORTER_OTLP_HEADERS", given.as_ref());
    let text = source.text("OTEL_EXPORTER_OTLP_HEADERS")?;
    if parse_headers(text).is_none() {
        let wants = "name=value pairs, comma-separated, with values as in a URL (%20 is a space)";
        source.refuse_secret("OTEL_EXPORTER_OTLP_HEADERS", text.len(), wants);
    }
    given
}

/// `None` if a part is not a valid header.
fn parse_headers(text: &str) -> Option<Vec<(String, String)>> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let header = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = name.trim();
        let is_sound = !name.is_empty() && name.bytes().all(is_of_name);
        let is_plain = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        (is_sound && is_plain).then(|| (name.to_ascii_lowercase(), value.into_owned()))
    };
    text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(header).collect()
}

fn ratio(source: &mut Source<'_>) -> f64 {
    let text = source.text("OTEL_TRACES_SAMPLER_ARG").unwrap_or("1");
    let ratio = text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    if ratio.is_none() {
        source.refuse("OTEL_TRACES_SAMPLER_ARG", text, "a number from 0 to 1");
    }
    let ratio = ratio.unwrap_or(1.0);
    source.list_value("OTEL_TRACES_SAMPLER_ARG", ratio.to_string());
    ratio
}

#[cfg(test)]
mod tests {
    use super::super::tests::{errors, parse, refused};
    use super::*;

    #[test]
    fn nothing_is_traced_by_default() {
        let traces = parse(&[("SERVICE_NAME", "logins")]).traces;
        assert_eq!((traces.endpoint, traces.headers), (None, None));
        assert_eq!((traces.sampler, traces.ratio), (TraceSampler::ParentAlwaysOn, 1.0));
        assert_eq!(traces.service_name, "logins");
        assert_eq!(parse(&[("OTEL_SERVICE_NAME", "auth")]).traces.service_name, "auth");
    }

    #[test]
    fn addresses() {
        let endpoint = |value| parse(&[("OTEL_EXPORTER_OTLP_ENDPOINT", value)]).traces.endpoint;
        assert_eq!(endpoint("http://collector:4318/").as_deref(), Some("http://collector:4318"));
        assert_eq!(endpoint("https://otel.example/otlp").as_deref(), Some("https://otel.example/otlp"));
        for wrong in [
            "collector:4318",
            "grpc://collector:4317",
            "http://",
            "http://h:99999",
            "http://a b",
            "http://h/a b",
        ] {
            assert_eq!(refused(&[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)]), ["OTEL_EXPORTER_OTLP_ENDPOINT"]);
        }
        for keyed in ["https://u:hunter2@otel.example", "https://otel.example/?key=hunter2"] {
            let told = errors(&[("OTEL_EXPORTER_OTLP_ENDPOINT", keyed)]).to_string();
            assert!(told.contains("got a secret of") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let given = " Authorization=Bearer%20hunter2 , x-team=a=b,";
        let config = parse(&[("OTEL_EXPORTER_OTLP_HEADERS", given)]);
        let expected = [("authorization", "Bearer hunter2"), ("x-team", "a=b")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(config.traces.headers(), expected);
        let shown = format!("{config:?} {:?}", config.effective());
        assert!(!shown.contains("hunter2"), "{shown}");
        for wrong in ["hunter2", "a b=hunter2", "=hunter2", "a=hunter2%0A"] {
            let told = errors(&[("OTEL_EXPORTER_OTLP_HEADERS", wrong)]).to_string();
            assert!(told.starts_with("OTEL_EXPORTER_OTLP_HEADERS") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn samplers() {
        let vars = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")];
        let traces = parse(&vars).traces;
        assert_eq!((traces.sampler, traces.ratio), (TraceSampler::ParentRatio, 0.25));
        assert_eq!(refused(&[("OTEL_TRACES_SAMPLER", "jaeger_remote")]), ["OTEL_TRACES_SAMPLER"]);
        for wrong in ["1.1", "-1", "NaN", "half"] {
            assert_eq!(refused(&[("OTEL_TRACES_SAMPLER_ARG", wrong)]), ["OTEL_TRACES_SAMPLER_ARG"]);
        }
    }
}
