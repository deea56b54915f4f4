//! The demo's client: inserts numbered rows through the virtual address all the time, remembers which were
//! acknowledged, and tells for how long nothing was.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use crate::error::LabError;
use crate::net;

/// Between two inserts.
const PERIOD: Duration = Duration::from_millis(20);
/// A connection attempt is given up after this long: towards a dead host nothing answers at all.
const CONNECT_MAX: Duration = Duration::from_millis(150);
/// An insert is given up after this long, and its connection with it.
const INSERT_MAX: Duration = Duration::from_millis(800);

/// Where and as whom the client connects.
#[derive(Debug, Clone)]
pub struct Target {
    /// The virtual address.
    pub address: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
    /// Database with the table `rows_written (n bigint primary key, t timestamp)`.
    pub database: String,
}

/// Time without an acknowledged row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The last acknowledgement before it.
    pub last_success: Instant,
    /// The first acknowledgement after it.
    pub first_success: Instant,
}

impl Outage {
    /// How long.
    #[must_use]
    pub fn length(self) -> Duration {
        self.first_success - self.last_success
    }
}

#[derive(Debug, Default)]
struct Record {
    /// Acknowledged rows in order, each with the time of its acknowledgement.
    acknowledged: Vec<(u64, Instant)>,
    last_error: String,
}

#[derive(Debug, Default)]
struct Shared {
    record: Mutex<Record>,
    news: Condvar,
    stop: AtomicBool,
}

/// A client that writes until it is dropped.
#[derive(Debug)]
pub struct Client {
    target: Target,
    namespace: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Starts writing, in the network namespace given.
    #[must_use]
    pub fn start(namespace: &Path, target: Target) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = {
            let (namespace, target, shared) =
                (namespace.to_owned(), target.clone(), Arc::clone(&shared));
            std::thread::spawn(move || {
                let for_errors = Arc::clone(&shared);
                let done = net::inside(&namespace, move || {
                    runtime().block_on(write_rows(&target, &shared));
                });
                if let Err(error) = done {
                    lock(&for_errors.record).last_error = error.to_string();
                }
            })
        };
        Self {
            target,
            namespace: namespace.to_owned(),
            shared,
            thread: Some(thread),
        }
    }

    /// How many rows were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        lock(&self.shared.record).acknowledged.len()
    }

    /// When the last row was acknowledged.
    #[must_use]
    pub fn last_success(&self) -> Option<Instant> {
        lock(&self.shared.record)
            .acknowledged
            .last()
            .map(|row| row.1)
    }

    /// What the last failed attempt said.
    #[must_use]
    pub fn last_error(&self) -> String {
        lock(&self.shared.record).last_error.clone()
    }

    /// Waits until a row is acknowledged later than `after`; false when `patience` is over first.
    #[must_use]
    pub fn wait_success(&self, after: Instant, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut record = lock(&self.shared.record);
        loop {
            if record.acknowledged.last().is_some_and(|row| row.1 > after) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            record = self
                .shared
                .news
                .wait_timeout(record, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until `length` has passed without a gap longer than `gap_max`; false when `patience` is over.
    #[must_use]
    pub fn wait_steady(&self, length: Duration, gap_max: Duration, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut begun = Instant::now();
        while Instant::now() < deadline {
            let before = Instant::now();
            if !self.wait_success(before, gap_max) {
                begun = Instant::now();
            } else if begun.elapsed() >= length {
                return true;
            }
        }
        false
    }

    /// The longest time without an acknowledgement that ended after `since`.
    #[must_use]
    pub fn longest_outage(&self, since: Instant) -> Option<Outage> {
        let record = lock(&self.shared.record);
        let rows = &record.acknowledged;
        let first = rows.partition_point(|row| row.1 <= since).saturating_sub(1);
        rows[first..]
            .windows(2)
            .map(|pair| Outage {
                last_success: pair[0].1,
                first_success: pair[1].1,
            })
            .max_by_key(|outage| outage.length())
    }

    /// Acknowledged rows that the database does not have.
    pub fn lost_rows(&self) -> Result<Vec<u64>, LabError> {
        let acknowledged: Vec<u64> = {
            let record = lock(&self.shared.record);
            record.acknowledged.iter().map(|row| row.0).collect()
        };
        let target = self.target.clone();
        let there = net::inside(&self.namespace, move || {
            runtime().block_on(read_rows(&target))
        })?
        .map_err(|error| LabError::Client {
            what: format!("cannot read its rows back: {error}"),
        })?;
        Ok(acknowledged
            .into_iter()
            .filter(|row| !there.contains(row))
            .collect())
    }

    /// Stops writing.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, was printed already.
            let _ = thread.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only an epoll descriptor")
}

fn options(target: &Target) -> Opts {
    OptsBuilder::default()
        .ip_or_hostname(target.address.clone())
        .tcp_port(target.port)
        .user(Some(target.user.clone()))
        .pass(Some(target.password.clone()))
        .db_name(Some(target.database.clone()))
        // It would look for a socket file after connecting, and use that.
        .prefer_socket(false)
        .tcp_nodelay(true)
        .into()
}

async fn connect(target: &Target, patience: Duration) -> Result<Conn, String> {
    match tokio::time::timeout(patience, Conn::new(options(target))).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

async fn write_rows(target: &Target, shared: &Shared) {
    let mut connection: Option<Conn> = None;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Rows of an earlier client on the same disk keep their numbers.
    let mut row: Option<u64> = None;
    while !shared.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let result = attempt(target, &mut connection, &mut row).await;
        let mut record = lock(&shared.record);
        match result {
            Ok(number) => {
                record.acknowledged.push((number, Instant::now()));
                shared.news.notify_all();
            }
            Err(error) => {
                connection = None;
                record.last_error = error;
            }
        }
    }
}

/// One insert. A row whose insert failed may or may not be there: its number is not used again.
async fn attempt(
    target: &Target,
    connection: &mut Option<Conn>,
    row: &mut Option<u64>,
) -> Result<u64, String> {
    if connection.is_none() {
        *connection = Some(connect(target, CONNECT_MAX).await?);
    }
    let open = connection.as_mut().expect("it was opened just now");
    if row.is_none() {
        let last: Option<Option<u64>> = open
            .query_first("SELECT max(n) FROM rows_written")
            .await
            .map_err(|error| error.to_string())?;
        *row = Some(last.flatten().unwrap_or(0));
    }
    let number = row.expect("it was read just now") + 1;
    *row = Some(number);
    let insert = open.query_drop(format!("INSERT INTO rows_written (n) VALUES ({number})"));
    match tokio::time::timeout(INSERT_MAX, insert).await {
        Ok(Ok(())) => Ok(number),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("an insert got no answer".to_owned()),
    }
}

async fn read_rows(target: &Target) -> Result<BTreeSet<u64>, String> {
    let mut connection = connect(target, Duration::from_secs(5)).await?;
    connection
        .query("SELECT n FROM rows_written")
        .await
        .map(|rows: Vec<u64>| rows.into_iter().collect())
        .map_err(|error| error.to_string())
}
