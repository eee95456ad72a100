//! What CONFIG SET does besides changing a value.

use crate::listen;
use crate::observe::log as log_setup;
use crate::state::State;
use ringkey_core::settings::{Setting, Settings};
use std::os::unix::ffi::OsStrExt;

/// Puts changed settings into effect (on core 0), all or none. What needs nothing but the value is read from
/// [`crate::tuning`].
///
/// # Errors
/// The setting that cannot be put into effect and the reason, as CONFIG SET tells it.
pub fn apply(state: &mut State, settings: &mut Settings, changed: &[Setting]) -> Result<(), (Setting, String)> {
    // First what may be refused and leaves nothing behind, last what cannot be refused.
    if changed.contains(&Setting::MaxClients) {
        let wanted = settings.int(Setting::MaxClients) as u64;
        let granted = crate::boot::raise_open_files(wanted);
        if granted < wanted {
            let reason = format!(
                "The operating system is not able to handle the specified number of clients, try with {granted}"
            );
            return Err((Setting::MaxClients, reason));
        }
    }
    if changed.contains(&Setting::Dir) {
        enter(settings).map_err(|reason| (Setting::Dir, reason))?;
    }
    if let Some(setting) = changed.iter().find(|setting| matches!(setting, Setting::Bind | Setting::Port))
        && let Err(reason) = listen_anew(state, settings)
    {
        if changed.contains(&Setting::Dir) {
            // It was there a moment ago.
            let _ = enter(&mut (*state.settings).clone());
        }
        return Err((*setting, reason));
    }
    if changed.contains(&Setting::LogLevel) {
        log_setup::set_level(settings.choice(Setting::LogLevel));
    }
    Ok(())
}

fn enter(settings: &mut Settings) -> Result<(), String> {
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(settings.text(Setting::Dir)));
    std::env::set_current_dir(path).map_err(|error| listen::plain(&error))?;
    crate::boot::resolve_directory(settings);
    Ok(())
}

/// Opens the TCP listeners that `settings` ask for in place of those that are open; the core takes them over at the end
/// of its pass.
fn listen_anew(state: &mut State, settings: &Settings) -> Result<(), String> {
    let port = settings.int(Setting::Port) as u16;
    let backlog = settings.int(Setting::TcpBacklog) as i32;
    let is_same_port = port == state.settings.int(Setting::Port) as u16;
    // Another change in this pass may have opened some already.
    let old = state.relisten.take().unwrap_or_default().into_iter().chain(std::mem::take(&mut state.listeners));
    let (unix, mut tcp): (Vec<_>, Vec<_>) = old.partition(listen::Listener::is_unix);
    if is_same_port {
        // They hold the addresses, which the new ones may share; the kernel holds them as long as it accepts there.
        tcp.iter().for_each(listen::Listener::stop);
        tcp.clear();
    }
    let opened = if port == 0 { Ok(Vec::new()) } else { listen::open_tcp(settings, port, backlog) };
    let (listeners, result) = match opened {
        Ok(listeners) => (listeners, Ok(())),
        Err(_) if is_same_port => {
            let again = listen::open_tcp(&state.settings, port, backlog).unwrap_or_else(|error| {
                log::warn!("Listening as before is not possible: {}", error.0);
                Vec::new()
            });
            (again, Err("Failed to bind to specified addresses.".to_owned()))
        }
        Err(_) => (tcp, Err("Unable to listen on this port. Check server logs.".to_owned())),
    };
    state.relisten = Some(listeners.into_iter().chain(unix).collect());
    result
}
