//! A publisher with confirms in the lab's network, and the consumer that says what is still there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::Outage;
use crate::error::{IoContext, LabError};

/// python3-pika is a module of the distribution's own Python.
const PYTHON: &str = "/usr/bin/python3";
const PROGRAM: &str = include_str!("../assets/publisher.py");

#[derive(Debug, Default)]
struct Record {
    /// Confirmed messages in order, each with the time of its confirmation.
    confirmed: Vec<(u64, Instant)>,
    last_error: String,
}

/// A publisher that publishes until it is dropped.
#[derive(Debug)]
pub struct Publisher {
    child: Child,
    record: Arc<Mutex<Record>>,
    reader: Option<JoinHandle<()>>,
    namespace: PathBuf,
    queue: String,
    hosts: Vec<String>,
    password: String,
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

fn program(namespace: &Path, password: &str, words: &[String]) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={}", namespace.display()))
        .args([PYTHON, "-u", "-c", PROGRAM])
        .args(words)
        .env("AMQP_PASSWORD", password)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

impl Publisher {
    /// Starts it with brokers' addresses to choose from.
    pub fn start(
        namespace: &Path,
        queue: &str,
        hosts: &[String],
        password: &str,
    ) -> Result<Self, LabError> {
        let mut words = vec!["publish".to_owned(), queue.to_owned()];
        words.extend(hosts.iter().cloned());
        let mut child = program(namespace, password, &words)
            .stdin(Stdio::piped())
            .spawn()
            .io("cannot start the publisher", PYTHON)?;
        let record = Arc::new(Mutex::new(Record::default()));
        let output = child.stdout.take();
        let reader = {
            let record = Arc::clone(&record);
            std::thread::spawn(move || {
                let lines = output.map(|output| BufReader::new(output).lines());
                for line in lines.into_iter().flatten().map_while(Result::ok) {
                    let mut record = lock(&record);
                    if let Some(number) = line.strip_prefix("ack ") {
                        let number = number.parse().unwrap_or_default();
                        record.confirmed.push((number, Instant::now()));
                    } else {
                        record.last_error = line;
                    }
                }
            })
        };
        Ok(Self {
            child,
            record,
            reader: Some(reader),
            namespace: namespace.to_owned(),
            queue: queue.to_owned(),
            hosts: hosts.to_vec(),
            password: password.to_owned(),
        })
    }

    /// How many messages were confirmed.
    #[must_use]
    pub fn confirmed(&self) -> usize {
        lock(&self.record).confirmed.len()
    }

    /// Their numbers.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        let record = lock(&self.record);
        record.confirmed.iter().map(|(number, _)| *number).collect()
    }

    /// What the last failed attempt said.
    #[must_use]
    pub fn last_error(&self) -> String {
        lock(&self.record).last_error.clone()
    }

    /// The longest time without a confirmation that ended after `since`, or goes on.
    #[must_use]
    pub fn longest_outage(&self, since: Instant) -> Option<Outage> {
        let record = lock(&self.record);
        let mut times: Vec<Instant> = record.confirmed.iter().map(|(_, at)| *at).collect();
        times.push(Instant::now());
        times
            .windows(2)
            .filter(|pair| pair[1] > since)
            .map(|pair| Outage {
                last_success: pair[0],
                first_success: pair[1],
            })
            .max_by_key(|outage| outage.length())
    }

    /// Whether confirmations came without a gap longer than `gap_max` for the last `length`.
    #[must_use]
    pub fn is_steady(&self, length: Duration, gap_max: Duration) -> bool {
        let since = Instant::now().checked_sub(length);
        let gap = since.and_then(|since| self.longest_outage(since));
        self.confirmed() > 0 && gap.is_some_and(|gap| gap.length() <= gap_max)
    }

    /// Consumes what is in the queue up to the message `last`; the numbers.
    pub fn drain(&self, last: u64) -> Result<BTreeSet<u64>, LabError> {
        let mut words = vec!["drain".to_owned(), self.queue.clone(), last.to_string()];
        words.extend(self.hosts.iter().cloned());
        let mut child = program(&self.namespace, &self.password, &words)
            .stdin(Stdio::null())
            .spawn()
            .io("cannot start the consumer", PYTHON)?;
        let mut text = String::new();
        if let Some(mut output) = child.stdout.take() {
            output
                .read_to_string(&mut text)
                .io("cannot read from the consumer", PYTHON)?;
        }
        let status = child.wait().io("cannot wait for the consumer", PYTHON)?;
        if !status.success() {
            return Err(LabError::Client {
                what: format!("could not consume: {status}"),
            });
        }
        let numbers = text.lines().filter_map(|line| line.strip_prefix("got "));
        Ok(numbers.filter_map(|number| number.parse().ok()).collect())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
