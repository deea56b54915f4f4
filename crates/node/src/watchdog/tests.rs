//! Against a device that behaves as the kernel's do: it rounds its time, counts from the last feeding, is fed by a close
//! without release, and once it has bitten, nothing helps.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;
use crate::config::Timing;

/// The device, as all its descriptors see it.
#[derive(Debug)]
struct Timer {
    now: u64,
    /// The next write reaches it so much later: the host stalls between the decision and the write.
    stall: u64,
    timeout_s: u32,
    /// It takes multiples of this, and nothing beyond 60 s.
    granularity_s: u32,
    fed: u64,
    is_released: bool,
    fails: bool,
    identity: &'static str,
}

impl Timer {
    fn bites_at(&self) -> u64 {
        self.fed + u64::from(self.timeout_s) * 1000
    }

    /// A write that reaches the device after its end changes nothing any more.
    fn write(&mut self) -> io::Result<()> {
        self.now += std::mem::take(&mut self.stall);
        if self.fails {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.now < self.bites_at() {
            self.fed = self.now;
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Fake(Arc<Mutex<Timer>>);

impl Fake {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Timer {
            now: 0,
            stall: 0,
            timeout_s: 60,
            granularity_s: 1,
            fed: 0,
            is_released: false,
            fails: false,
            identity: "iTCO_wdt",
        })))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Timer) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

impl WatchdogDevice for Fake {
    fn identity(&self) -> io::Result<String> {
        Ok(self.with(|timer| timer.identity.to_owned()))
    }
    fn set_timeout(&self, seconds: u32) -> io::Result<()> {
        self.with(|timer| {
            let rounded = seconds.div_ceil(timer.granularity_s) * timer.granularity_s;
            if rounded > 60 {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            timer.timeout_s = rounded;
            Ok(())
        })
    }
    fn timeout(&self) -> io::Result<u32> {
        Ok(self.with(|timer| timer.timeout_s))
    }
    fn feed(&mut self) -> io::Result<()> {
        self.with(Timer::write)
    }
    fn release(&mut self) -> io::Result<()> {
        self.with(|timer| timer.is_released = true);
        Ok(())
    }
}

fn config(seconds: Option<u32>, counts: Option<bool>) -> NodeConfig {
    NodeConfig {
        name: "n1".into(),
        cluster: "test".into(),
        links: vec!["127.0.0.1:7999".into()],
        witness: false,
        timing: Timing { detection_ms: 700 },
        alert: None,
        watchdog: Some("/dev/watchdog".into()),
        watchdog_s: seconds,
        watchdog_counts: counts,
        drain_s: 1,
    }
}

const REAL: Surroundings = Surroundings {
    is_virtual: false,
    has_promised: false,
    is_kept: false,
};

fn armed(fake: &Fake, config: &NodeConfig, around: Surroundings, note: &Path) -> Watchdog {
    Watchdog::with_device(
        Box::new(fake.clone()),
        config,
        around,
        note.to_owned(),
        &|_| Ok(()),
    )
}

fn promised(fake: &Fake, config: &NodeConfig, around: Surroundings) -> Option<u64> {
    let folder = tempfile::tempdir().unwrap();
    armed(fake, config, around, &folder.path().join("note")).promise_ms()
}

#[test]
fn what_is_promised_is_what_the_device_was_programmed_with() {
    assert_eq!(
        promised(&Fake::new(), &config(None, None), REAL),
        Some(31_000)
    );
    // It rounds up, and what it says counts.
    let coarse = Fake::new();
    coarse.with(|timer| timer.granularity_s = 8);
    assert_eq!(
        promised(&coarse, &config(Some(5), None), REAL),
        Some(25_000)
    );
}

#[test]
fn nothing_is_promised_where_something_is_missing() {
    let usual = config(None, None);
    let failing = Fake::new();
    failing.with(|timer| timer.fails = true);
    assert_eq!(promised(&failing, &usual, REAL), None, "it cannot be fed");
    let soft = Fake::new();
    soft.with(|timer| timer.identity = "Software Watchdog");
    assert_eq!(
        promised(&soft, &usual, REAL),
        None,
        "the kernel's own timer"
    );
    assert_eq!(
        promised(&soft, &config(None, Some(true)), REAL),
        Some(31_000),
        "its administrator vouches for it"
    );
    assert_eq!(
        promised(&Fake::new(), &config(None, Some(false)), REAL),
        None
    );
    let guest = Surroundings {
        is_virtual: true,
        ..REAL
    };
    assert_eq!(
        promised(&Fake::new(), &usual, guest),
        None,
        "a paused machine pauses it"
    );
    assert_eq!(
        promised(&Fake::new(), &config(Some(1), None), REAL),
        None,
        "too short"
    );
    assert_eq!(
        promised(&Fake::new(), &config(Some(100), None), REAL),
        None,
        "refused by the driver"
    );
    let coarse = Fake::new();
    coarse.with(|timer| timer.granularity_s = 50);
    assert_eq!(
        promised(&coarse, &config(Some(5), None), REAL),
        None,
        "far from what was wanted"
    );
    let folder = tempfile::tempdir().unwrap();
    let nobody = |_: &dyn WatchdogDevice| Err("nobody keeps it".to_owned());
    let note = folder.path().join("note");
    let alone = Watchdog::with_device(Box::new(Fake::new()), &usual, REAL, note.clone(), &nobody);
    assert_eq!(alone.promise_ms(), None);
    assert!(!note.exists());
    let unwritable = armed(&Fake::new(), &usual, REAL, Path::new("/nonexistent/note"));
    assert_eq!(
        unwritable.promise_ms(),
        None,
        "the next session would not know of it"
    );
}

#[test]
fn it_is_fed_only_as_far_as_the_core_allows() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note");
    let fake = Fake::new();
    let mut dog = armed(&fake, &config(None, None), REAL, &note);
    let fed_at = |dog: &mut Watchdog, now: u64| {
        fake.with(|timer| timer.now = now);
        dog.feed(Millis(now)).unwrap();
        fake.with(|timer| timer.fed)
    };
    assert_eq!(fed_at(&mut dog, 1500), 0, "nothing was allowed yet");
    dog.allow_until(Millis(4000));
    assert_eq!(fed_at(&mut dog, 2000), 2000);
    assert_eq!(fed_at(&mut dog, 2500), 2000, "once a second is enough");
    assert_eq!(fed_at(&mut dog, 3999), 3999);
    assert_eq!(fed_at(&mut dog, 5000), 3999);
    dog.allow_until(Millis(6000));
    assert_eq!(fed_at(&mut dog, 5100), 5100);
    // The next session goes on with the device, and feeds nothing before it may.
    let mut next = armed(
        &fake,
        &config(None, None),
        Surroundings {
            has_promised: true,
            is_kept: true,
            ..REAL
        },
        &note,
    );
    assert_eq!(next.promise_ms(), Some(31_000));
    assert_eq!(fed_at(&mut next, 5900), 5100);
    next.disarm();
    assert!(fake.with(|timer| timer.is_released));
    assert!(!note.exists(), "nobody counts on it any more");
}

#[test]
fn a_feeding_that_fails_ends_a_daemon_that_others_count_on() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note");
    let fake = Fake::new();
    let mut dog = armed(&fake, &config(None, None), REAL, &note);
    dog.allow_until(Millis(100_000));
    dog.feed(Millis(1000)).unwrap();
    fake.with(|timer| timer.fails = true);
    assert!(
        dog.feed(Millis(2000))
            .unwrap_err()
            .contains("cannot be fed")
    );
    assert_eq!(std::fs::read_to_string(&note).unwrap(), BROKEN);
    // Where nobody counts on it, it is worth a sentence, no more.
    let mut free = armed(
        &fake,
        &config(None, Some(false)),
        REAL,
        &folder.path().join("other"),
    );
    free.feed(Millis(3000)).unwrap();
}

/// The promise, for thousands of lives: whenever the core ends its permission, however the host stalls and however
/// often the daemon is restarted, the host is reset before the promised time.
#[test]
fn the_promise_holds_through_stalls_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note");
    let mut random = 88_172_645_463_325_252_u64;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut late = 0;
    for _ in 0..3_000 {
        let fake = Fake::new();
        let settings = config(Some(5), None);
        let mut dog = armed(&fake, &settings, REAL, &note);
        let promise = dog.promise_ms().unwrap();
        let end = 1_000 + draw(20_000);
        let mut until = 0;
        let mut has_closed = false;
        loop {
            let now = fake.with(|timer| timer.now);
            if now >= fake.with(|timer| timer.bites_at()) {
                break;
            }
            assert!(
                now <= until + promise,
                "alive {} ms after its time",
                now - until
            );
            if now < end {
                until = (now + 2_000).min(end);
                dog.allow_until(Millis(until));
            }
            fake.with(|timer| timer.stall = 0);
            if draw(10) == 0 {
                fake.with(|timer| timer.stall = draw(8_000));
            }
            dog.feed(Millis(now)).unwrap();
            if draw(20) == 0 {
                // It dies; the service manager kept the device, and the next session promises the same.
                let around = Surroundings {
                    has_promised: true,
                    is_kept: true,
                    ..REAL
                };
                dog = armed(&fake, &settings, around, &note);
            } else if draw(200) == 0 && !has_closed {
                // It dies and nobody kept it: the close feeds it, and the next session leaves it alone.
                let _ = fake.with(Timer::write);
                has_closed = true;
                dog = Watchdog::default();
            }
            fake.with(|timer| timer.now += 50 + draw(1_200));
        }
        late += u32::from(fake.with(|timer| timer.bites_at()) > until + 6_000);
    }
    assert!(
        late > 10,
        "stalls made {late} of them late only: the margin was not tried"
    );
}
