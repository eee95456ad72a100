//! One glommio executor a core, and the two tasks that live on it: the reactor, and upkeep at low shares.

use glommio::{Latency, LocalExecutorBuilder, Placement, Shares};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread::JoinHandle;

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
    let name = name.to_owned();
    let (started, result) = crossbeam_channel::bounded(1);
    let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
        let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
        // Clients are served by the reactor's own ring; glommio's serves background files, so small is enough.
        let builder = LocalExecutorBuilder::new(placement).name(&name).io_memory(64 << 10).ring_depth(64);
        match builder.make() {
            Ok(executor) => {
                let _ = started.send(Ok(()));
                executor.run(run_core(make));
            }
            Err(error) => {
                let _ = started.send(Err(io::Error::other(error.to_string())));
            }
        }
    })?;
    result.recv().unwrap_or_else(|_| Err(io::Error::other("the executor's thread ended")))?;
    Ok(thread)
}

async fn run_core<C: Core>(make: impl FnOnce() -> C) {
    let core = Rc::new(RefCell::new(make()));
    let signal = Rc::new(Signal::default());
    let queue = glommio::executor().create_task_queue(Shares::Static(50), Latency::NotImportant, "upkeep");
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
