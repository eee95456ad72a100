//! Work that may wait long for the disk and that no core must wait for: one thread does it, job after job, and core 0 hears
//! when one is done.
//!
//! The thread rings a bell that core 0 watches in its ring, and leaves the answer in a channel. Both exist once a process;
//! nothing of them is near the path of data.

use crate::mailbox::letter::Answer;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A job: what it returns is the answer to whoever asked.
type Work = Box<dyn FnOnce() -> Answer + Send>;

/// Who asked: the core, and its ticket.
type Asker = (Option<usize>, u64);

/// The thread for slow work, as core 0 sees it.
pub struct Aside {
    jobs: Sender<(Asker, Work)>,
    done: Receiver<(Asker, Answer)>,
    bell: UnixStream,
    rope: UnixStream,
}

impl Aside {
    /// Starts the thread, on the processors of the caller.
    ///
    /// # Errors
    /// If there are no descriptors or threads left.
    pub fn start() -> io::Result<Self> {
        let (bell, mut rope) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rope.set_nonblocking(true)?;
        let (report, done) = channel();
        let (jobs, inbox) = channel::<(Asker, Work)>();
        let other_rope = rope.try_clone()?;
        std::thread::Builder::new().name("aside".to_owned()).spawn(move || {
            for (asker, work) in inbox {
                if report.send((asker, work())).is_err() {
                    break;
                }
                // A bell that rings already need not be rung.
                let _ = rope.write(&[0]);
            }
        })?;
        Ok(Self { jobs, done, bell, rope: other_rope })
    }

    /// What rings the bell when a byte is written to it, for others who have something for core 0.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn rope(&self) -> io::Result<UnixStream> {
        self.rope.try_clone()
    }

    /// What becomes readable when a job is done.
    pub fn bell(&self) -> RawFd {
        self.bell.as_raw_fd()
    }

    /// Hands a job over; it is done after those before it.
    ///
    /// # Errors
    /// If the thread is gone.
    pub fn give(&mut self, asker: Asker, work: impl FnOnce() -> Answer + Send + 'static) -> io::Result<()> {
        self.jobs.send((asker, Box::new(work))).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// What has been done since the last look.
    pub fn done(&mut self) -> Vec<(Asker, Answer)> {
        let mut rung = [0; 64];
        while matches!(self.bell.read(&mut rung), Ok(1..)) {}
        self.done.try_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn jobs_are_done_in_order_and_the_bell_rings() {
        let mut aside = Aside::start().unwrap();
        assert!(aside.done().is_empty());
        for number in 0..3 {
            aside.give((Some(1), number), move || Answer::Count(number)).unwrap();
        }
        let mut tickets = Vec::new();
        while tickets.len() < 3 {
            tickets.extend(aside.done().into_iter().map(|((_, ticket), _)| ticket));
            std::thread::yield_now();
        }
        assert_eq!(tickets, [0, 1, 2]);
    }
}
