//! One glommio executor a core, and the tasks that live on it: the reactor, upkeep at low shares, and a lookout that
//! keeps the executor from falling asleep.

use glommio::timer::Timer;
use glommio::{Latency, LocalExecutorBuilder, Placement, Shares, TaskQueueHandle};
use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the executor looks after files and timers of its own while tasks are running; glommio's own default.
const PREEMPT_TIMER: Duration = Duration::from_millis(100);

/// The same until the first alarms are set (see [`lookout`]): for ever, as far as a start goes.
const PREEMPT_TIMER_AT_START: Duration = Duration::from_secs(3600);

/// The longest sleep that a wrongly sleeping executor gets.
const LOOKOUT_PERIOD: Duration = Duration::from_millis(5);

/// Alarms that are set at a time, one a period.
const LOOKOUT_ALARMS: u32 = 8;

/// What the two tasks of a core share.
pub trait Core: 'static {
    /// One pass of the reactor: reap, execute, flush, wait.
    fn pass(&mut self) -> Flow;
    /// One slice of upkeep (expiry, freeing), of some 200 microseconds. `true` if more is to be done now.
    fn upkeep(&mut self) -> bool;
}

/// What the reactor does after a pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Another pass.
    Continue,
    /// First let upkeep run.
    Upkeep,
    /// The core has shut down.
    Stop,
}

/// Starts an executor on `cpu`, or unpinned, and runs the core that `make` builds there until it stops.
///
/// # Errors
/// Where the thread or glommio's rings cannot be set up.
pub fn spawn<C: Core>(
    name: &str,
    cpu: Option<usize>,
    make: impl FnOnce() -> C + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    spawn_with(name, cpu, PREEMPT_TIMER, make)
}

fn spawn_with<C: Core>(
    name: &str,
    cpu: Option<usize>,
    preempt: Duration,
    make: impl FnOnce() -> C + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let name = name.to_owned();
    let (started, result) = crossbeam_channel::bounded(1);
    let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
        let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
        // Clients are served by the reactor's own ring; glommio's serves background files, so small is enough.
        let builder = LocalExecutorBuilder::new(placement).name(&name).io_memory(64 << 10).ring_depth(64);
        match builder.preempt_timer(PREEMPT_TIMER_AT_START).make() {
            Ok(executor) => {
                let _ = started.send(Ok(()));
                executor.run(run_core(preempt, make));
            }
            Err(error) => {
                let _ = started.send(Err(io::Error::other(error.to_string())));
            }
        }
    })?;
    result.recv().unwrap_or_else(|_| Err(io::Error::other("the executor's thread ended")))?;
    Ok(thread)
}

/// Runs a core in a queue of its own, which brings the true preemption timer, once there are alarms.
async fn run_core<C: Core>(preempt: Duration, make: impl FnOnce() -> C + 'static) {
    let mut lookout = Box::pin(lookout());
    poll_fn(|context| {
        let _ = lookout.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
    // Dropped, and thereby ended, with this function.
    let _lookout = glommio::spawn_local(lookout);
    let queue = |shares, name| glommio::executor().create_task_queue(shares, Latency::Matters(preempt), name);
    let upkeep = queue(Shares::Static(50), "upkeep");
    if let Ok(core) = glommio::spawn_local_into(serve(make, upkeep), queue(Shares::default(), "core")) {
        core.await;
    }
}

async fn serve<C: Core>(make: impl FnOnce() -> C, queue: TaskQueueHandle) {
    let core = Rc::new(RefCell::new(make()));
    let signal = Rc::new(Signal::default());
    let upkeep = glommio::spawn_local_into(upkeep(Rc::clone(&core), Rc::clone(&signal)), queue);
    loop {
        let flow = core.borrow_mut().pass();
        match flow {
            Flow::Stop => break,
            Flow::Upkeep => signal.raise(),
            Flow::Continue if !signal.is_raised() => continue,
            Flow::Continue => {}
        }
        glommio::executor().yield_task_queue_now().await;
    }
    signal.stop();
    if let Ok(upkeep) = upkeep {
        upkeep.await;
    }
}

/// Keeps alarms set, so that the executor never sleeps for long.
///
/// glommio 0.9 sets its preemption timer, and then runs no task at all if the timer has expired before the first one
/// starts; it takes that for having nothing to do and sleeps until something happens in its own rings - in which
/// nothing is under way, since clients live in the reactor's. On a machine with more to do than processors a thread
/// may well be kept waiting for those 100 ms at that place, and the core would never wake again. Only while it sleeps
/// like that do alarms cost anything. There are several because the one that wakes it may be followed by another such
/// moment before this task has run. At the start, when there are none yet, the preemption timer is out of reach.
async fn lookout() {
    loop {
        let mut alarms: Vec<Timer> = (1..=LOOKOUT_ALARMS).map(|number| Timer::new(LOOKOUT_PERIOD * number)).collect();
        poll_fn(|context| {
            let mut any = Poll::Pending;
            for alarm in &mut alarms {
                // All are polled: an alarm is set by its first poll.
                if Pin::new(alarm).poll(context).is_ready() {
                    any = Poll::Ready(());
                }
            }
            any
        })
        .await;
    }
}

/// Works slice by slice whenever the reactor asks for it, and gives way between slices.
async fn upkeep<C: Core>(core: Rc<RefCell<C>>, signal: Rc<Signal>) {
    while signal.wait().await {
        while core.borrow_mut().upkeep() {
            glommio::executor().yield_task_queue_now().await;
            if signal.stopped.get() {
                return;
            }
        }
        signal.raised.set(false);
    }
}

/// Tells the upkeep task that there is work.
#[derive(Default)]
struct Signal {
    raised: Cell<bool>,
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Signal {
    fn raise(&self) {
        self.raised.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn stop(&self) {
        self.stopped.set(true);
        self.raise();
    }

    fn is_raised(&self) -> bool {
        self.raised.get()
    }

    /// Waits for work; `false` when the core has stopped.
    async fn wait(&self) -> bool {
        poll_fn(|context| {
            if self.stopped.get() {
                return Poll::Ready(false);
            }
            if self.raised.get() {
                return Poll::Ready(true);
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;

    /// A core that has to go through the executor with every pass.
    struct Counter(u32);

    impl Core for Counter {
        fn pass(&mut self) -> Flow {
            self.0 += 1;
            std::thread::sleep(Duration::from_micros(50));
            if self.0 < 2000 { Flow::Upkeep } else { Flow::Stop }
        }

        fn upkeep(&mut self) -> bool {
            false
        }
    }

    #[test]
    fn a_core_goes_on_where_the_executor_has_no_time_to_run_anything() {
        // Short enough for the timer to expire before a task starts, now and then.
        for micros in [18, 20, 25, 35, 50] {
            let thread = spawn_with("hurried", None, Duration::from_micros(micros), || Counter(0)).unwrap();
            let (sender, receiver) = mpsc::channel();
            std::thread::spawn(move || sender.send(thread.join().is_ok()));
            let ended = receiver.recv_timeout(Duration::from_secs(60));
            assert_eq!(ended, Ok(true), "a core fell asleep with a preemption timer of {micros} us");
        }
    }
}
