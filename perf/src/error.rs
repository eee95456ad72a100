//! Everything that can go wrong while measuring, in one enum, so that each reason reads as a sentence.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PerfError {
    /// A flag, or flags that contradict each other.
    #[error("{0}")]
    Usage(String),
    /// The workload makes no sense.
    #[error("workload {name:?}: {why}")]
    Workload {
        /// The workload's name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A scenario file cannot be understood.
    #[error("{}: {why}", path.display())]
    Scenario {
        /// The file.
        path: PathBuf,
        /// What the reader of TOML said.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No connection to the server.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The server's address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The server refused the greeting or another request before the load.
    #[error("{address} answers {request}: {reply}")]
    Refused {
        /// The server's address.
        address: SocketAddr,
        /// What was asked.
        request: String,
        /// What came back.
        reply: String,
    },
    /// A connection ended under load.
    #[error("{address} ended a connection under load: {why}")]
    Lost {
        /// The server's address.
        address: SocketAddr,
        /// How.
        why: String,
    },
    /// What the server sends is not RESP.
    #[error("{address} sends what is no RESP: {why}")]
    Protocol {
        /// The server's address.
        address: SocketAddr,
        /// What was found.
        why: String,
    },
    /// The cluster cannot be used.
    #[error("cluster: {0}")]
    Cluster(String),
    /// The operating system refused something of our own.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Another helper of the measurement failed: a server that does not start, a figure that is missing.
    #[error("{0}")]
    Other(String),
}

impl PerfError {
    /// Wraps an error of the operating system: `.map_err(PerfError::system("io_uring"))`.
    pub fn system(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
