//! Logging to standard error.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use chrono::{SecondsFormat, Utc};
use clap::ValueEnum;
use prometheus::IntCounter;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, error};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatFields, FormattedFields, MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::redaction::RedactingWriter;

/// Maximum number of lines that wait for standard error: every problem of a large configuration at
/// once, and some megabytes.
const MAX_LINES: usize = 10_000;

/// How long lines that were not written yet may delay the exit.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Format of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object per line.
    Json,
}

/// Minimum log level.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogLevel {
    /// Everything, including each successful poll.
    Debug,
    /// Changes.
    Info,
    /// Problems that need attention.
    Warn,
    /// Errors that end the program or fail a command.
    Error,
}

/// Sends this program's log events to standard error. Counts the lines that cannot be written.
pub fn init(level: LogLevel, format: LogFormat, dropped: IntCounter) -> anyhow::Result<Log> {
    let level = match level {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    };
    let log = Log::start(io::stderr(), dropped).context("cannot start the log's thread")?;
    let lines = log.clone();
    let layer = formatted(format, move || RedactingWriter(lines.clone()));
    tracing_subscriber::registry().with(layer.with_filter(own_events(level))).try_init()?;
    let lines = log.clone();
    panic::set_hook(Box::new(move |panic| log_panic(panic, &lines)));
    Ok(log)
}

/// Writes log lines on a thread of its own: a reader that is stuck must not stop the program.
/// `tracing-appender` does not count lines that fail, and blocks the exit on standard output.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct Shared {
    /// The lines to write. The first one is removed once it is written.
    lines: Mutex<VecDeque<Arc<[u8]>>>,
    changed: Condvar,
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, VecDeque<Arc<[u8]>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Arc<[u8]>> {
        let wait = self.changed.wait_while(self.lines(), |lines| lines.is_empty());
        wait.unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    fn written(&self) {
        self.lines().pop_front();
        self.changed.notify_all();
    }
}

impl Log {
    fn start(mut out: impl Write + Send + 'static, dropped: IntCounter) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let log = Self { shared: Arc::clone(&shared), dropped: dropped.clone() };
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            while let Some(line) = shared.next() {
                if out.write_all(&line).is_err() {
                    dropped.inc();
                }
                shared.written();
            }
        })?;
        Ok(log)
    }

    /// Waits until all lines are written, if their reader allows it.
    pub fn finish(&self) {
        let (lines, changed) = (self.shared.lines(), &self.shared.changed);
        let waited = changed.wait_timeout_while(lines, FINISH_TIMEOUT, |lines| !lines.is_empty());
        drop(waited);
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = self.shared.lines();
        if lines.len() < MAX_LINES {
            lines.push_back(line.into());
            self.shared.changed.notify_all();
        } else {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs a panic like any other event: the default hook would write past the queue, and wait for a stuck
/// reader.
fn log_panic(panic: &PanicHookInfo<'_>, log: &Log) {
    let location = panic.location().map(tracing::field::display);
    error!(location, error = panic.payload_as_str(), "panic");
    // it may end the process
    log.finish();
}

/// Excludes libraries: some log headers, and with them tokens, at low levels.
fn own_events(level: Level) -> Targets {
    Targets::new().with_target("campaign_exporter", level)
}

/// Writes log lines with the fields of their spans.
fn formatted<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    match format {
        LogFormat::Logfmt => {
            layer().fmt_fields(Logfmt).event_format(Logfmt).with_writer(writer).boxed()
        }
        LogFormat::Json => layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_target(false)
            .map_event_format(WithSpanFields)
            .with_writer(writer)
            .boxed(),
    }
}

/// Writes `key=value` pairs. `tracing-logfmt` escapes apostrophes, and control characters in a way that
/// other readers reject.
struct Logfmt;

impl<S> FormatEvent<S, Self> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Self>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        write!(writer, "ts={time} level={level}")?;
        self.format_fields(writer.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<Self>>() {
                writer.write_str(fields)?;
            }
        }
        writer.write_char('\n')
    }
}

impl<'w> FormatFields<'w> for Logfmt {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut pairs = Pairs(writer, Ok(()));
        fields.record(&mut pairs);
        pairs.1
    }
}

/// Writes a space and a pair for each field.
struct Pairs<'w>(Writer<'w>, fmt::Result);

impl Visit for Pairs<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let written = write!(self.0, " {}={}", field.name(), quoted(value));
        self.1 = self.1.and(written);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// A value of logfmt: in quotes, with the escapes of JSON, if it could be misread without.
fn quoted(value: &str) -> Cow<'_, str> {
    let is_special = |char: char| matches!(char, '=' | '"' | ' ') || char.is_control();
    if value.contains(is_special) {
        serde_json::Value::from(value).to_string().into()
    } else {
        value.into()
    }
}

/// Adds the fields of the current spans to the JSON object of a line, as logfmt does.
struct WithSpanFields<F>(F);

impl<S, F> FormatEvent<S, JsonFields> for WithSpanFields<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: FormatEvent<S, JsonFields>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let object = line.trim_end();
        writer.write_str(object.strip_suffix('}').unwrap_or(object))?;
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            let fields = fields.and_then(|fields| fields.strip_prefix('{')?.strip_suffix('}'));
            if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
                write!(writer, ",{fields}")?;
            }
        }
        writer.write_str("}\n")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{LazyLock, mpsc};

    use serde_json::Value;
    use tempfile::NamedTempFile;
    use tracing::subscriber::DefaultGuard;
    use tracing::{Dispatch, error_span, warn};

    use super::*;

    /// With a single subscriber, a line that another thread reaches first would be off everywhere.
    static SECOND: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

    /// Writes the log of this thread to a file while the guard exists.
    pub(crate) fn capture(format: LogFormat) -> (NamedTempFile, DefaultGuard) {
        LazyLock::force(&SECOND);
        let file = NamedTempFile::new().unwrap();
        let writer = Mutex::new(file.reopen().unwrap());
        let subscriber = tracing_subscriber::registry().with(formatted(format, writer));
        (file, subscriber.set_default())
    }

    fn logged(format: LogFormat) -> Vec<String> {
        let (file, _guard) = capture(format);
        let span = error_span!("account", account = "\"x y\"", provider = "p");
        span.in_scope(|| warn!(reason = "auth", "poll failed"));
        warn!("other");
        let lines = std::fs::read_to_string(file.path()).unwrap();
        lines.lines().map(str::to_owned).collect()
    }

    /// A writer that ends with its reader.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            match self.0.recv() {
                Ok(()) => Ok(line.len()),
                Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_beyond_the_queue_and_failed_ones_are_counted() {
        let dropped = IntCounter::new("dropped", "d").unwrap();
        let (reader, stuck) = mpsc::channel();
        let mut log = Log::start(Stuck(stuck), dropped.clone()).unwrap();
        for _ in 0..MAX_LINES + 5 {
            log.write_all(b"line\n").unwrap();
        }
        assert_eq!(dropped.get(), 5);
        reader.send(()).unwrap();
        drop(reader);
        log.finish();
        assert_eq!(dropped.get(), 5 + MAX_LINES as u64 - 1);
    }

    #[test]
    fn a_panic_is_a_log_line_and_waits_for_no_reader() {
        let (_reader, stuck) = mpsc::channel();
        let dropped = IntCounter::new("dropped", "d").unwrap();
        let mut log = Log::start(Stuck(stuck), dropped).unwrap();
        log.write_all(b"line\n").unwrap();
        let (file, _guard) = capture(LogFormat::Logfmt);
        panic::set_hook(Box::new(move |panic| log_panic(panic, &log)));
        panic::catch_unwind(|| panic!("at the \"disco\"")).unwrap_err();
        drop(panic::take_hook());
        let line = std::fs::read_to_string(file.path()).unwrap();
        let fields = " level=error message=panic location=src/logging.rs:";
        assert!(line.contains(fields), "{line}");
        assert!(line.ends_with(" error=\"at the \\\"disco\\\"\"\n"), "{line}");
    }

    #[test]
    fn libraries_do_not_log() {
        let filter = own_events(Level::DEBUG);
        assert!(filter.would_enable("campaign_exporter::upstream", &Level::DEBUG));
        for library in ["h2", "hyper_util", "reqwest", "rustls"] {
            assert!(!filter.would_enable(library, &Level::ERROR), "{library}");
        }
    }

    #[test]
    fn logfmt_lines_have_the_fields_of_their_span() {
        let lines = logged(LogFormat::Logfmt);
        let fields = r#"level=warn message="poll failed" reason=auth account="\"x y\"" provider=p"#;
        assert!(lines[0].ends_with(fields), "{lines:?}");
        assert!(lines[1].ends_with("level=warn message=other"), "{lines:?}");
    }

    #[test]
    fn only_what_could_be_misread_is_quoted_and_escaped() {
        for (value, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("it's", "it's"),
            (r"a\b", r"a\b"),
            ("é日本", "é日本"),
            ("it's cut", r#""it's cut""#),
            ("a=b", r#""a=b""#),
            (r#"say "x""#, r#""say \"x\"""#),
            (r"C:\a b", r#""C:\\a b""#),
            ("a\nb\t", r#""a\nb\t""#),
            ("\0\u{1b}[2J", r#""\u0000\u001b[2J""#),
            ("\u{85}", "\"\u{85}\""),
        ] {
            let (file, _guard) = capture(LogFormat::Logfmt);
            warn!(value, "m");
            let line = std::fs::read_to_string(file.path()).unwrap();
            let (_, found) = line.trim_end_matches('\n').split_once("value=").unwrap();
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn json_lines_have_the_fields_of_their_span() {
        let lines = logged(LogFormat::Json);
        let parse = |line: &String| serde_json::from_str(line).unwrap();
        let objects: Vec<Value> = lines.iter().map(parse).collect();
        let names = |object: &Value| {
            let mut names: Vec<_> = object.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        let expected = "account level message provider reason timestamp";
        assert_eq!(names(&objects[0]).join(" "), expected);
        assert_eq!(objects[0]["account"], "\"x y\"");
        assert_eq!(lines[0].matches("account").count(), 1, "{lines:?}");
        assert_eq!(names(&objects[1]), ["level", "message", "timestamp"]);
    }
}
