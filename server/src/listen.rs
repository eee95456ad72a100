//! Sockets that listen, and what is to be known of those that were accepted.

use crate::sys::names::group_id;
use ringkey_core::settings::{Setting, Settings};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a client hears that protected mode turns away.
pub const PROTECTED: &[u8] = b"-DENIED This server runs in protected mode: no password is set for the default user, so \
it accepts connections from its own machine only. To connect from elsewhere, set a password with 'CONFIG SET requirepass', \
or switch protected mode off with 'CONFIG SET protected-mode no' from the machine itself or 'protected-mode no' in the \
configuration file, provided that the server cannot be reached from the internet.\r\n";

/// Reads that a client is worth that is turned away.
const TURNED_AWAY_READS_MAX: usize = 64;

/// A socket that listens.
pub struct Listener {
    socket: Socket,
    /// Under which number the ring accepts from it, once it does.
    pub id: Option<u32>,
    /// Is it the port of one core? Otherwise connections are dealt out to all.
    pub is_of_core: bool,
    /// The path of a Unix socket, removed when it is closed.
    path: Option<PathBuf>,
}

impl Listener {
    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Ends listening at once, even while the kernel accepts on it: the address is free for others.
    pub fn stop(&self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Is it a Unix socket?
    pub fn is_unix(&self) -> bool {
        self.path.is_some()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Closing alone would not end it: the ring holds the socket until the accept under way has ended, even for some
        // time after the ring itself was closed. Until then it would take connections that nobody serves, and keep its port.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Who is at the two ends of a connection.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// The peer's address as CLIENT LIST shows it.
    pub peer: String,
    /// Our own address.
    pub local: String,
    /// Did it come through the Unix socket?
    pub is_unix: bool,
    /// Is the peer on this machine?
    pub is_local: bool,
}

/// Why listening failed, as it is logged.
#[derive(Debug)]
pub struct ListenError(pub String);

/// Opens all listeners that the settings ask for.
///
/// # Errors
/// The first address that cannot be bound and is not optional (`-` before it).
pub fn open_all(settings: &Settings) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = open_tcp(settings)?;
    let backlog = settings.int(Setting::TcpBacklog) as i32;
    let path = settings.text(Setting::UnixSocket);
    if !path.is_empty() {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let mode = settings.int(Setting::UnixSocketPerm) as u32;
        let listener = open_unix(path, mode, settings.text(Setting::UnixSocketGroup), backlog)
            .map_err(|error| ListenError(format!("Failed opening Unix socket: bind: {error}")))?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Opens the listeners for `port` on all addresses of `bind`; none if the port is 0.
///
/// # Errors
/// As [`open_all`].
pub fn open_tcp(settings: &Settings) -> Result<Vec<Listener>, ListenError> {
    match settings.int(Setting::Port) as u16 {
        0 => Ok(Vec::new()),
        port => open_port(settings, port),
    }
}

/// Opens the listeners of each core for `core-ports`: none, or as many sets as there are cores.
///
/// # Errors
/// As [`open_all`].
pub fn open_core_ports(settings: &Settings, cores: u16) -> Result<Vec<Vec<Listener>>, ListenError> {
    let first = settings.int(Setting::CorePorts) as u16;
    let cores = if first == 0 { 0 } else { cores };
    let open = |core| {
        let mut listeners = open_port(settings, first + core)?;
        listeners.iter_mut().for_each(|listener| listener.is_of_core = true);
        Ok(listeners)
    };
    (0..cores).map(open).collect()
}

/// Opens the listeners for a port on all addresses of `bind`.
fn open_port(settings: &Settings, port: u16) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for word in settings.words(Setting::Bind) {
        let word = String::from_utf8_lossy(word).into_owned();
        let (is_optional, name) = match word.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, word.as_str()),
        };
        match open_address(name, port, settings) {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                // An address family that the kernel lacks is no reason to stop for an optional address.
                let is_absent = matches!(
                    error.raw_os_error(),
                    Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ENOPROTOOPT)
                ) || error.kind() == io::ErrorKind::NotFound;
                log::warn!(
                    "Warning: Could not create server TCP listening socket {name}:{port}: bind: {}",
                    plain(&error)
                );
                if !(is_optional && is_absent) {
                    return Err(ListenError(format!("Failed listening on port {port} (tcp), aborting.")));
                }
            }
        }
    }
    Ok(listeners)
}

/// The listeners as INFO shows them.
pub fn describe(settings: &Settings) -> Vec<String> {
    let mut all = Vec::new();
    let port = settings.int(Setting::Port);
    let binds = settings.words(Setting::Bind);
    if port != 0 && !binds.is_empty() {
        let binds: Vec<String> = binds.iter().map(|word| format!("bind={}", String::from_utf8_lossy(word))).collect();
        all.push(format!("name=tcp,{},port={port}", binds.join(",")));
    }
    let path = settings.text(Setting::UnixSocket);
    if !path.is_empty() {
        all.push(format!("name=unix,bind={}", String::from_utf8_lossy(path)));
    }
    all
}

/// An error of the operating system without the number behind it.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn open_address(name: &str, port: u16, settings: &Settings) -> io::Result<Listener> {
    let address = match name {
        "*" => SocketAddr::new(IpAddr::from([0, 0, 0, 0]), port),
        "::*" => SocketAddr::new(IpAddr::from([0u16; 8]), port),
        name => (name, port)
            .to_socket_addrs()
            .map_err(|_| io::Error::new(io::ErrorKind::NotFound, "Name or service not known"))?
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "Name or service not known"))?,
    };
    // Connections over several paths where the client asks for it; others are plain TCP.
    let protocol = if settings.bool(Setting::Mptcp) { Protocol::MPTCP } else { Protocol::TCP };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    let mark = settings.int(Setting::SocketMarkId) as u32;
    if mark != 0
        && let Err(error) = socket.set_mark(mark)
    {
        // Accepted connections have the mark of their listener.
        log::warn!("'socket-mark-id' is not set on {name}:{port}: {}", plain(&error));
    }
    socket.bind(&address.into())?;
    socket.listen(settings.int(Setting::TcpBacklog) as i32)?;
    Ok(Listener { socket, id: None, is_of_core: false, path: None })
}

fn open_unix(path: &Path, mode: u32, group: &[u8], backlog: i32) -> io::Result<Listener> {
    let _ = std::fs::remove_file(path);
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(backlog)?;
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    let listener = Listener { socket, id: None, is_of_core: false, path: Some(path.to_owned()) };
    if !group.is_empty() {
        let no_group = || io::Error::other(format!("there is no group '{}'", String::from_utf8_lossy(group)));
        std::os::unix::fs::chown(path, None, Some(group_id(group).ok_or_else(no_group)?))?;
    }
    Ok(listener)
}

/// Who is at the ends of an accepted connection.
pub fn ends(fd: &OwnedFd, listener: &Listener) -> Ends {
    if let Some(path) = &listener.path {
        let name = format!("{}:0", path.display());
        return Ends { peer: name.clone(), local: name, is_unix: true, is_local: true };
    }
    let socket = SockRef::from(fd);
    let address = |address: io::Result<SockAddr>| address.ok().and_then(|address| address.as_socket());
    let text = |address: &Option<SocketAddr>| address.map_or_else(|| "?:0".to_owned(), |address| address.to_string());
    let (peer, local) = (address(socket.peer_addr()), address(socket.local_addr()));
    let is_local = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    Ends { peer: text(&peer), local: text(&local), is_unix: false, is_local }
}

/// Does protected mode turn clients of other machines away?
pub fn is_protected(settings: &Settings) -> bool {
    settings.bool(Setting::ProtectedMode) && settings.text(Setting::RequirePass).is_empty()
}

/// Sets the options of an accepted TCP connection; keepalive in seconds, 0: none.
pub fn prepare(fd: &OwnedFd, keepalive_s: i64) {
    let socket = SockRef::from(fd);
    // A connection that dies at this moment is noticed by its first receive.
    let _ = socket.set_tcp_nodelay(true);
    if keepalive_s > 0 {
        let interval = Duration::from_secs((keepalive_s as u64 / 3).max(1));
        let options = TcpKeepalive::new()
            .with_time(Duration::from_secs(keepalive_s as u64))
            .with_interval(interval)
            .with_retries(3);
        let _ = socket.set_tcp_keepalive(&options);
    }
}

/// Tells a connection why it is not served; it closes when the caller drops it.
pub fn turn_away(fd: &OwnedFd, line: &[u8]) {
    let socket = SockRef::from(fd);
    let _ = socket.set_nonblocking(true);
    let _ = socket.send(line);
    // Requests that have come already would turn the close into a reset and take the line from the client.
    // Not for ever, though: it may send as fast as we read.
    let mut rest = [std::mem::MaybeUninit::uninit(); 1024];
    (0..TURNED_AWAY_READS_MAX).take_while(|_| matches!(socket.recv(&mut rest), Ok(1..))).for_each(drop);
    let _ = socket.shutdown(std::net::Shutdown::Write);
}

/// Shuts one or both directions of a socket down.
pub fn shut_down(fd: &OwnedFd, how: libc::c_int) {
    let how = if how == libc::SHUT_WR { std::net::Shutdown::Write } else { std::net::Shutdown::Both };
    let _ = SockRef::from(fd).shutdown(how);
}
