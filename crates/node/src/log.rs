//! Where log sentences go: the journal (through stderr, with priorities), else the terminal, and syslog where
//! there is one and no journal.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Where to.
#[derive(Debug)]
enum Target {
    /// stderr is the journal: priorities as prefixes, no time.
    Journal,
    /// A terminal or a file.
    Plain,
    /// The system's log daemon.
    Syslog(UnixDatagram),
}

/// Begins to log. `RUST_LOG` chooses what, as usual.
pub fn begin() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let sink = Sink {
        target: Arc::new(choose()),
    };
    // A second subscriber in one process (tests) is of no interest.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(sink)
        .try_init();
}

fn choose() -> Target {
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        return Target::Journal;
    }
    if io::stderr().is_terminal() || std::env::var_os("QUORATE_LOG_STDERR").is_some() {
        return Target::Plain;
    }
    let syslog = UnixDatagram::unbound().and_then(|socket| {
        socket.connect("/dev/log")?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    syslog.map_or(Target::Plain, Target::Syslog)
}

struct Sink {
    target: Arc<Target>,
}

#[derive(Default)]
struct Sentence {
    text: String,
    fields: String,
}

impl Visit for Sentence {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

impl<S: Subscriber> Layer<S> for Sink {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut sentence = Sentence::default();
        event.record(&mut sentence);
        let text = format!("{}{}", sentence.text, sentence.fields).replace('\n', " | ");
        let level = *event.metadata().level();
        let priority = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        // A log that cannot be written is no reason to stop a service.
        let _ = match &*self.target {
            Target::Journal => writeln!(io::stderr(), "<{priority}>{text}"),
            Target::Plain => {
                let seconds = crate::clock::wall_ms();
                writeln!(io::stderr(), "{} {level:5} {text}", time_of_day(seconds))
            }
            Target::Syslog(socket) => {
                // Facility 3: daemons.
                let line = format!("<{}>quorate[{}]: {text}", 24 + priority, std::process::id());
                socket.send(line.as_bytes()).map(drop)
            }
        };
    }
}

/// `HH:MM:SS.mmm`, UTC.
fn time_of_day(wall_ms: i64) -> String {
    let ms = wall_ms.rem_euclid(86_400_000);
    let (hours, rest) = (ms / 3_600_000, ms % 3_600_000);
    let (minutes, rest) = (rest / 60_000, rest % 60_000);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{:03}",
        rest / 1000,
        rest % 1000
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_time_of_day() {
        assert_eq!(super::time_of_day(1_700_000_000_123), "22:13:20.123");
    }
}
