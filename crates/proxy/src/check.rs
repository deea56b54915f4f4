//! Asking the database.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use tokio::sync::Mutex;

use crate::my_cnf::Client;
use crate::verdict::{Facts, Policy, Verdict, judge};

const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_local_state', \
     'wsrep_local_state_comment', 'wsrep_cluster_status', 'wsrep_ready')";
const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_desync', \
     'wsrep_reject_queries', 'wsrep_sst_method', 'read_only')";

/// How to check.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How to reach the database.
    pub client: Client,
    /// What counts as available.
    pub policy: Policy,
    /// An answer is given again for so long, so that many load balancers cost one query.
    pub cache: Duration,
    /// A database that takes longer does not serve.
    pub timeout: Duration,
    /// While this file exists the answer is no: an operator took the server out of service.
    pub maintenance_file: Option<PathBuf>,
}

struct Kept {
    connection: Option<Conn>,
    answer: Option<(Instant, Verdict)>,
}

/// A check with its kept connection.
pub struct Check {
    settings: Settings,
    kept: Mutex<Kept>,
}

impl Check {
    /// A check that has not asked yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            kept: Mutex::new(Kept {
                connection: None,
                answer: None,
            }),
        }
    }

    /// Whether this server may serve now. Callers at the same time share one question to the database.
    pub async fn verdict(&self) -> Verdict {
        if let Some(file) = &self.settings.maintenance_file
            && file.exists()
        {
            return Verdict::down(format!("Maintenance: {} exists.", file.display()));
        }
        let mut kept = self.kept.lock().await;
        if let Some((at, verdict)) = &kept.answer
            && at.elapsed() < self.settings.cache
        {
            return verdict.clone();
        }
        let connection = kept.connection.take();
        let asked = tokio::time::timeout(self.settings.timeout, self.ask(connection)).await;
        let verdict = match asked {
            Ok(Ok((connection, facts))) => {
                kept.connection = Some(connection);
                judge(&facts, self.settings.policy)
            }
            Ok(Err(error)) => Verdict::down(format!("The database cannot be asked: {error}.")),
            Err(_) => Verdict::down(format!(
                "The database did not answer within {} ms.",
                self.settings.timeout.as_millis()
            )),
        };
        kept.answer = Some((Instant::now(), verdict.clone()));
        verdict
    }

    async fn ask(&self, connection: Option<Conn>) -> Result<(Conn, Facts), mysql_async::Error> {
        if let Some(mut connection) = connection
            && let Ok(facts) = read_facts(&mut connection).await
        {
            return Ok((connection, facts));
        }
        // A kept connection that fails says nothing about the server but that it was restarted.
        let client = &self.settings.client;
        let options = OptsBuilder::default()
            .user(Some(&client.user))
            .pass(client.password.as_ref())
            .ip_or_hostname(&client.host)
            .tcp_port(client.port)
            .socket(client.socket.as_ref())
            .prefer_socket(false);
        let mut connection = Conn::new(options).await?;
        let facts = read_facts(&mut connection).await?;
        Ok((connection, facts))
    }
}

async fn read_facts(connection: &mut Conn) -> Result<Facts, mysql_async::Error> {
    let mut facts = Facts::default();
    for query in [STATUS, VARIABLES] {
        let rows: Vec<Row> = connection.query(query).await?;
        for row in rows {
            let (name, value): (String, String) = mysql_async::from_row_opt(row)
                .map_err(|error| mysql_async::Error::Other(Box::new(error)))?;
            note(&mut facts, &name, value);
        }
    }
    Ok(facts)
}

fn note(facts: &mut Facts, name: &str, value: String) {
    let is_on = value.eq_ignore_ascii_case("ON") || value == "1";
    match name {
        "wsrep_on" => facts.is_galera = is_on,
        "wsrep_local_state" => facts.local_state = value.parse().unwrap_or(0),
        "wsrep_local_state_comment" => facts.local_state_comment = value,
        "wsrep_cluster_status" => facts.cluster_status = value,
        "wsrep_ready" => facts.is_ready = is_on,
        "wsrep_desync" => facts.is_desynced = is_on,
        "wsrep_reject_queries" => facts.rejects_queries = !value.eq_ignore_ascii_case("NONE"),
        "wsrep_sst_method" => facts.sst_method = value,
        "read_only" => facts.is_read_only = is_on,
        _ => {}
    }
}
