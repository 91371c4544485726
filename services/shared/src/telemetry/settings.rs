//! What the standard `OTEL_…` variables ask for: whether anything is exported, how, and which traces are kept. The SDK reads
//! the details itself (headers, sizes of queues); it says nothing of a value that it can't use, so this does.

use std::time::Duration;

use opentelemetry_otlp::OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT;
use opentelemetry_sdk::trace::Sampler;

use super::tls::TlsFiles;

/// How OTLP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    HttpProtobuf,
    Grpc,
}

/// Where one signal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) protocol: Protocol,
    pub(super) is_encrypted: bool,
    pub(super) tls: TlsFiles,
    /// Of one export.
    pub(super) timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) traces: Option<Target>,
    pub(super) logs: Option<Target>,
    pub(super) sampler: Sampler,
    /// `OTEL_SERVICE_NAME`; one among the resource attributes is the SDK's to read.
    pub(super) service_name: Option<String>,
    /// What was said and can't be done, in words for the log.
    pub(super) ignored: Vec<String>,
}

impl Settings {
    pub(super) fn of_process() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader { variable, ignored: Vec::new() };
        let is_off = reader.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let (traces, logs) = if is_off { (None, None) } else { (reader.target("TRACES"), reader.target("LOGS")) };
        let sampler = reader.sampler();
        let service_name = reader.get("OTEL_SERVICE_NAME");
        Self { traces, logs, sampler, service_name, ignored: reader.ignored }
    }
}

struct Reader<V> {
    variable: V,
    ignored: Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    /// An empty variable is as good as none, says the specification.
    fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The signal's own variable, or the one for all signals.
    fn of_signal(&self, signal: &str, what: &str) -> Option<String> {
        self.get(&format!("OTEL_EXPORTER_OTLP_{signal}_{what}"))
            .or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{what}")))
    }

    /// Nothing is exported unless there is an endpoint, or an exporter was named: then the specification has a default.
    fn target(&mut self, signal: &str) -> Option<Target> {
        let endpoint = self.of_signal(signal, "ENDPOINT");
        let name = format!("OTEL_{signal}_EXPORTER");
        match self.get(&name) {
            None if endpoint.is_none() => return None,
            None => {}
            Some(exporters) if exporters == "none" => return None,
            Some(exporters) if exporters.split(',').any(|exporter| exporter.trim() == "otlp") => {}
            Some(exporters) => {
                self.ignored
                    .push(format!("{name}={exporters} is not known here, only otlp and none; nothing is exported"));
                return None;
            }
        }
        let is_encrypted = endpoint.is_some_and(|endpoint| endpoint.starts_with("https:"));
        Some(Target {
            protocol: self.protocol(signal),
            is_encrypted,
            tls: self.tls(signal),
            timeout: self.timeout(signal),
        })
    }

    fn tls(&mut self, signal: &str) -> TlsFiles {
        let authority = self.of_signal(signal, "CERTIFICATE");
        let (certificate, key) = (self.of_signal(signal, "CLIENT_CERTIFICATE"), self.of_signal(signal, "CLIENT_KEY"));
        if certificate.is_some() != key.is_some() {
            let both = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY are nothing without each other";
            self.ignored.push(both.to_owned());
        }
        TlsFiles { authority, client: certificate.zip(key) }
    }

    fn timeout(&self, signal: &str) -> Duration {
        let said = self.of_signal(signal, "TIMEOUT").and_then(|text| text.parse().ok());
        said.map_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Duration::from_millis)
    }

    fn protocol(&mut self, signal: &str) -> Protocol {
        match self.of_signal(signal, "PROTOCOL").as_deref() {
            None | Some("http/protobuf") => Protocol::HttpProtobuf,
            Some("grpc") => Protocol::Grpc,
            Some(other) => {
                self.ignored.push(format!(
                    "OTLP by {other} is not known here, only http/protobuf and grpc; http/protobuf is used"
                ));
                Protocol::HttpProtobuf
            }
        }
    }

    fn sampler(&mut self) -> Sampler {
        let based = |root| Sampler::ParentBased(Box::new(root));
        match self.get("OTEL_TRACES_SAMPLER").as_deref() {
            None | Some("parentbased_always_on") => based(Sampler::AlwaysOn),
            Some("parentbased_always_off") => based(Sampler::AlwaysOff),
            Some("parentbased_traceidratio") => based(Sampler::TraceIdRatioBased(self.ratio())),
            Some("always_on") => Sampler::AlwaysOn,
            Some("always_off") => Sampler::AlwaysOff,
            Some("traceidratio") => Sampler::TraceIdRatioBased(self.ratio()),
            Some(other) => {
                self.ignored
                    .push(format!("OTEL_TRACES_SAMPLER={other} is not known here; parentbased_always_on is used"));
                based(Sampler::AlwaysOn)
            }
        }
    }

    fn ratio(&mut self) -> f64 {
        let Some(text) = self.get("OTEL_TRACES_SAMPLER_ARG") else { return 1.0 };
        match text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => {
                self.ignored.push(format!("OTEL_TRACES_SAMPLER_ARG={text} is no number from 0 to 1; 1 is used"));
                1.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Settings {
        Settings::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[test]
    fn without_an_endpoint_nothing_is_exported() {
        for variables in [&[][..], &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], &[("OTEL_SERVICE_NAME", "pictures")]] {
            let settings = read(variables);
            assert_eq!((settings.traces, settings.logs), (None, None), "{variables:?}");
            assert!(settings.ignored.is_empty());
        }
    }

    #[test]
    fn an_endpoint_exports_both_and_each_can_be_left_out() {
        let target = Some(Target {
            protocol: Protocol::HttpProtobuf,
            is_encrypted: false,
            tls: TlsFiles::default(),
            timeout: Duration::from_secs(10),
        });
        let settings = read(&[ENDPOINT]);
        assert_eq!((&settings.traces, &settings.logs), (&target, &target));
        assert_eq!(read(&[ENDPOINT, ("OTEL_LOGS_EXPORTER", "none")]).logs, None);
        assert_eq!(read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "True")]).traces, None);
        let traces_only = read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector:4317")]);
        assert_eq!(traces_only.logs, None);
        assert!(traces_only.traces.is_some_and(|target| target.is_encrypted));
        assert_eq!(read(&[("OTEL_LOGS_EXPORTER", "console, otlp")]).logs, target);
    }

    #[test]
    fn a_signal_has_its_own_protocol_before_that_of_all() {
        let settings = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
        ]);
        let protocol = |target: Option<Target>| target.map(|target| target.protocol);
        assert_eq!(protocol(settings.traces), Some(Protocol::Grpc));
        assert_eq!(protocol(settings.logs), Some(Protocol::HttpProtobuf));
    }

    #[test]
    fn a_signal_has_its_own_certificates_and_deadline_before_those_of_all() {
        let settings = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "all.pem"),
            ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "logs.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "client.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "client.key"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
        ]);
        let (traces, logs) = (settings.traces.unwrap(), settings.logs.unwrap());
        let authorities = [&traces, &logs].map(|target| target.tls.authority.clone().unwrap());
        assert_eq!(authorities, ["all.pem", "logs.pem"]);
        assert_eq!(logs.tls.client, Some(("client.pem".to_owned(), "client.key".to_owned())));
        assert_eq!([traces.timeout, logs.timeout], [Duration::from_millis(250), Duration::from_secs(10)]);
        assert!(settings.ignored.is_empty());
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for variable in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "xray"),
        ] {
            let ignored = read(&[ENDPOINT, variable]).ignored;
            assert!(ignored.iter().any(|told| told.contains(variable.1)), "{ignored:?}");
        }
        for half in ["OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE"] {
            let settings = read(&[ENDPOINT, (half, "a.pem")]);
            assert!(settings.ignored[0].contains("without each other") && settings.logs.unwrap().tls.client.is_none());
        }
        let sampled = |settings: &Settings| format!("{:?}", settings.sampler);
        let ratio = |text| read(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", text)]);
        assert_eq!(sampled(&ratio("0.25")), "TraceIdRatioBased(0.25)");
        for wrong in ["often", "1.5", "-1", "NaN"] {
            let settings = ratio(wrong);
            assert_eq!(sampled(&settings), "TraceIdRatioBased(1.0)");
            assert!(settings.ignored[0].contains(wrong));
        }
    }
}
