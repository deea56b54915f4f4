//! Ctrl-C and a polite kill take a lab down before they end the process.

use std::path::PathBuf;
use std::process::exit;

use tokio::signal::unix::{SignalKind, signal};

use crate::lab::Lab;

/// From now on SIGINT, SIGTERM and SIGHUP remove the lab of that name and end this process.
pub fn down_on_interrupt(state: PathBuf, name: String) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime needs only an epoll descriptor");
        let code = runtime.block_on(interrupted());
        eprintln!("interrupted: the lab {name} is taken down");
        if let Err(error) = Lab::down(&state, &name) {
            eprintln!("it could not be removed ({error}); the next lab that is made removes it");
        }
        exit(code);
    });
}

/// The exit code that the signal asks for.
async fn interrupted() -> i32 {
    let listen = |kind| signal(kind).expect("these signals can be handled");
    let (mut int, mut term, mut hup) = (
        listen(SignalKind::interrupt()),
        listen(SignalKind::terminate()),
        listen(SignalKind::hangup()),
    );
    tokio::select! {
        _ = int.recv() => 130,
        _ = term.recv() => 143,
        _ = hup.recv() => 129,
    }
}
