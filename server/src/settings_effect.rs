//! What CONFIG SET does besides changing a value.

use crate::listen;
use crate::observe::log as log_setup;
use crate::state::State;
use ringkey_core::settings::{Setting, Settings};
use std::os::unix::ffi::OsStrExt;

/// Puts a changed setting into effect (on core 0). What needs nothing but the value is read from [`crate::tuning`].
///
/// # Errors
/// The reason why it cannot be put into effect, as CONFIG SET tells it.
pub fn apply(state: &mut State, settings: &mut Settings, setting: Setting) -> Result<(), String> {
    match setting {
        Setting::LogLevel => log_setup::set_level(settings.choice(Setting::LogLevel)),
        Setting::MaxClients => {
            let wanted = settings.int(Setting::MaxClients) as u64;
            let granted = crate::boot::raise_open_files(wanted);
            if granted < wanted {
                return Err(format!(
                    "The operating system is not able to handle the specified number of clients, try with {granted}"
                ));
            }
        }
        Setting::Bind | Setting::Port => {
            let port = settings.int(Setting::Port) as u16;
            let mut listeners = Vec::new();
            if port != 0 {
                let backlog = settings.int(Setting::TcpBacklog) as i32;
                // The old sockets hold the address until the new ones are open.
                let old = std::mem::take(&mut state.listeners);
                let (unix, tcp): (Vec<_>, Vec<_>) = old.into_iter().partition(listen::Listener::is_unix);
                let same_port = setting == Setting::Bind;
                if same_port {
                    drop(tcp);
                    state.listeners = unix;
                } else {
                    state.listeners = tcp.into_iter().chain(unix).collect();
                }
                let opened = listen::open_tcp(settings, port, backlog);
                match opened {
                    Ok(opened) => listeners = opened,
                    Err(_) if same_port => {
                        state.relisten = listen::open_tcp(&state.settings, port, backlog).ok();
                        return Err("Failed to bind to specified addresses.".to_owned());
                    }
                    Err(_) => return Err("Unable to listen on this port. Check server logs.".to_owned()),
                }
            }
            let old = std::mem::take(&mut state.listeners);
            listeners.extend(old.into_iter().filter(listen::Listener::is_unix));
            state.relisten = Some(listeners);
        }
        Setting::Dir => {
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(settings.text(Setting::Dir)));
            std::env::set_current_dir(path).map_err(|error| listen::plain(&error))?;
            crate::boot::resolve_directory(settings);
        }
        _ => {}
    }
    Ok(())
}
