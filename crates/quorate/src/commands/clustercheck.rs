//! `quorate clustercheck`: the HTTP health check of the database on this host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate_proxy::check::{Check, Settings};
use quorate_proxy::my_cnf;
use quorate_proxy::server;
use quorate_proxy::verdict::Policy;

use crate::context::Context;
use crate::error::{Error, Exit, Result};

/// Answer a load balancer's health check: 200 when the Galera server on this host may serve, else 503 with the
/// reason.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A donor counts as available (unless its state transfer is by rsync, which blocks it).
    #[arg(short = 'a', long)]
    available_when_donor: bool,
    /// A read-only server does not count as available.
    #[arg(short = 'r', long)]
    disable_when_readonly: bool,
    /// Give an answer again for so many seconds.
    #[arg(short = 'c', long, value_name = "SECONDS", default_value_t = 1.0)]
    cache_time: f64,
    /// Option file whose `[client]` group says how to reach the database.
    #[arg(
        short = 'f',
        long,
        value_name = "FILE",
        default_value = "/etc/galera-python-clustercheck/my.cnf"
    )]
    conf: PathBuf,
    /// Port to listen on.
    #[arg(short = 'p', long, default_value_t = 8000)]
    port: u16,
    /// Listen to IPv6 only.
    #[arg(short = '6', long, conflicts_with = "ipv4")]
    ipv6: bool,
    /// Listen to IPv4 on this address.
    #[arg(short = '4', long, value_name = "IPV4", default_value = "0.0.0.0")]
    ipv4: Ipv4Addr,
    /// A database that takes longer than so many milliseconds does not serve.
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    timeout: u64,
    /// While this file exists the answer is 503.
    #[arg(long, value_name = "FILE", default_value = "/run/quorate/clustercheck-maintenance")]
    maintenance_file: PathBuf,
    /// Answer once on the terminal instead of listening; exit code 0 or 6.
    #[arg(long)]
    once: bool,
}

/// Serves until it is killed.
pub fn run(args: Args, context: &Context) -> Result {
    let _ = context;
    let settings = settings(&args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(format!("the event loop cannot start: {error}"), ""))?;
    let check = Arc::new(Check::new(settings));
    if args.once {
        let verdict = runtime.block_on(check.verdict());
        println!("{}", verdict.reason);
        return Ok(if verdict.serves { Exit::Done } else { Exit::Attention });
    }
    let host: IpAddr = if args.ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        args.ipv4.into()
    };
    let address = SocketAddr::new(host, args.port);
    runtime.block_on(async {
        let listener = server::bind(address).await.map_err(|error| {
            Error::new(
                format!("cannot listen on {address}: {error}"),
                "choose another port with -p, or stop what listens there",
            )
        })?;
        eprintln!("Health check of the database listens on {address}.");
        server::serve(listener, check).await;
        Ok(Exit::Done)
    })
}

fn settings(args: &Args) -> Result<Settings> {
    let file = args.conf.display();
    let text = std::fs::read_to_string(&args.conf).map_err(|error| {
        Error::new(
            format!("{file} cannot be read: {error}"),
            "create it with a [client] group (user, password, socket or host), or name another with -f",
        )
    })?;
    let client = my_cnf::parse(&text)
        .map_err(|error| Error::new(format!("{file}: {error}"), "correct the option file"))?;
    if !args.cache_time.is_finite() || !(0.0..=3600.0).contains(&args.cache_time) {
        return Err(Error::new(
            format!("{} s is no time to keep an answer", args.cache_time),
            "give 0 to 3600 seconds",
        )
        .exit(Exit::Usage));
    }
    Ok(Settings {
        client,
        policy: Policy {
            available_when_donor: args.available_when_donor,
            disable_when_read_only: args.disable_when_readonly,
        },
        cache: Duration::from_secs_f64(args.cache_time),
        timeout: Duration::from_millis(args.timeout),
        maintenance_file: Some(args.maintenance_file.clone()),
    })
}
