//! A hardware watchdog, by the kernel's rules (`Documentation/watchdog/watchdog-api.rst`): opening the device starts it,
//! any byte written feeds it, `V` before the last close stops it, and the last close without `V` feeds it once more. What
//! may be fed when is decided by the daemon; this is the device.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, RawFd};

use rustix::ioctl::{self, opcode};

/// What the daemon asks of a watchdog.
pub trait WatchdogDevice: Send {
    /// What the driver calls itself.
    fn identity(&self) -> io::Result<String>;
    /// Programs the time after the last feeding at which it resets the host, seconds. Drivers round, and some refuse.
    fn set_timeout(&self, seconds: u32) -> io::Result<()>;
    /// The time that the driver really uses, seconds.
    fn timeout(&self) -> io::Result<u32>;
    /// Starts its time anew.
    fn feed(&mut self) -> io::Result<()>;
    /// The next close stops it.
    fn release(&mut self) -> io::Result<()>;
    /// The open device, to be kept beyond this process.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// `/dev/watchdog`.
#[derive(Debug)]
pub struct HardwareWatchdog {
    device: File,
}

/// `struct watchdog_info`.
#[repr(C)]
struct Info {
    options: u32,
    firmware: u32,
    identity: [u8; 32],
}

const GET_SUPPORT: ioctl::Opcode = opcode::read::<Info>(b'W', 0);
const SET_TIMEOUT: ioctl::Opcode = opcode::read_write::<i32>(b'W', 6);
const GET_TIMEOUT: ioctl::Opcode = opcode::read::<i32>(b'W', 7);

impl HardwareWatchdog {
    /// Opens and by that starts it.
    pub fn open(path: &str) -> io::Result<Self> {
        let device = OpenOptions::new().write(true).open(path)?;
        Ok(Self { device })
    }

    /// Takes over the device that the service manager kept for this process, of all descriptors that it passed.
    #[must_use]
    pub fn kept(passed: RawFd) -> Self {
        // SAFETY: the service manager passed this open descriptor to this process, and the caller takes it once.
        // JUSTIFICATION: descriptors are inherited as numbers; there is no other way to own one.
        let device = unsafe { File::from_raw_fd(passed) };
        Self { device }
    }
}

impl WatchdogDevice for HardwareWatchdog {
    fn identity(&self) -> io::Result<String> {
        // SAFETY: WDIOC_GETSUPPORT writes one `struct watchdog_info`, which `Info` mirrors.
        // JUSTIFICATION: a driver's name is told by an ioctl only.
        let info =
            unsafe { ioctl::ioctl(&self.device, ioctl::Getter::<GET_SUPPORT, Info>::new()) }?;
        let name = info
            .identity
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        Ok(String::from_utf8_lossy(name).trim().to_owned())
    }

    fn set_timeout(&self, seconds: u32) -> io::Result<()> {
        let mut value = i32::try_from(seconds).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: WDIOC_SETTIMEOUT reads and writes one int.
        // JUSTIFICATION: a driver's time is set by an ioctl only.
        unsafe {
            ioctl::ioctl(
                &self.device,
                ioctl::Updater::<SET_TIMEOUT, i32>::new(&mut value),
            )
        }?;
        Ok(())
    }

    fn timeout(&self) -> io::Result<u32> {
        // SAFETY: WDIOC_GETTIMEOUT writes one int.
        // JUSTIFICATION: a driver's time is told by an ioctl only.
        let value =
            unsafe { ioctl::ioctl(&self.device, ioctl::Getter::<GET_TIMEOUT, i32>::new()) }?;
        u32::try_from(value).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn feed(&mut self) -> io::Result<()> {
        self.device.write_all(b"\0")
    }

    fn release(&mut self) -> io::Result<()> {
        self.device.write_all(b"V")
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.device.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of the kernel's header, `linux/watchdog.h`.
    #[test]
    fn the_requests_are_the_kernels() {
        assert_eq!(std::mem::size_of::<Info>(), 40);
        assert_eq!(GET_SUPPORT, 0x8028_5700);
        assert_eq!(SET_TIMEOUT, 0xc004_5706);
        assert_eq!(GET_TIMEOUT, 0x8004_5707);
    }

    /// What is no watchdog tells nothing of itself: no time can be promised on it.
    #[test]
    fn an_ordinary_file_is_fed_and_has_no_timeout() {
        let path = std::env::temp_dir().join(format!("quorate-watchdog-{}", std::process::id()));
        std::fs::write(&path, "").unwrap();
        let mut device = HardwareWatchdog::open(path.to_str().unwrap()).unwrap();
        assert!(
            device.identity().is_err()
                && device.timeout().is_err()
                && device.set_timeout(5).is_err()
        );
        device.feed().unwrap();
        device.release().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0V");
        std::fs::remove_file(&path).unwrap();
    }
}
