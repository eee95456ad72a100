//! What CONFIG SET does besides changing a value.

use crate::listen;
use crate::observe::{crash, log as log_setup};
use crate::process::title;
use crate::state::State;
use ringkey_core::settings::{Setting, Settings};
use std::os::unix::ffi::OsStrExt;

/// Puts a changed setting into effect (on core 0). What needs nothing but the value is read from [`crate::tuning`].
///
/// # Errors
/// The reason why it cannot be put into effect, as CONFIG SET tells it.
pub fn apply(state: &mut State, settings: &mut Settings, setting: Setting) -> Result<(), String> {
    match setting {
        Setting::LogLevel | Setting::LogFormat | Setting::LogTimestampFormat | Setting::HideUserDataFromLog => {
            log_setup::adopt(settings);
        }
        Setting::CrashLogEnabled => crash::adopt(settings),
        Setting::OomScoreAdj | Setting::OomScoreAdjValues => state.keeper.oom.apply(settings)?,
        Setting::ProcTitleTemplate => title::apply(settings),
        Setting::JemallocBgThread => crate::memory::purge_in_background(settings.bool(Setting::JemallocBgThread)),
        Setting::MaxClients => {
            let wanted = settings.int(Setting::MaxClients) as u64;
            let granted = crate::boot::raise_open_files(wanted);
            if granted < wanted {
                return Err(format!(
                    "The operating system is not able to handle the specified number of clients, try with {granted}"
                ));
            }
        }
        Setting::Bind if settings.int(Setting::CorePorts) != 0 => {
            return Err("the addresses cannot be changed while cores have ports of their own".to_owned());
        }
        Setting::Bind | Setting::Port => {
            listen_anew(state, settings, setting == Setting::Bind)?;
            title::apply(settings);
        }
        Setting::Dir => {
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(settings.text(Setting::Dir)));
            std::env::set_current_dir(path).map_err(|error| listen::plain(&error))?;
            crate::configuration::resolve_directory(settings);
        }
        Setting::LocaleCollate if !crate::sys::names::has_locale(settings.text(setting)) => {
            return Err("Invalid locale name".to_owned());
        }
        _ => {}
    }
    Ok(())
}

/// Opens the TCP listeners of `settings` in place of those that are open.
fn listen_anew(state: &mut State, settings: &Settings, may_keep_port: bool) -> Result<(), String> {
    if may_keep_port {
        // The port can be had again only when the sockets that hold it are gone.
        close_tcp(state);
    }
    match listen::open_tcp(settings) {
        Ok(opened) => {
            close_tcp(state);
            state.listeners.extend(opened);
            Ok(())
        }
        Err(_) if may_keep_port => {
            state.listeners.extend(listen::open_tcp(&state.settings).unwrap_or_default());
            Err("Failed to bind to specified addresses.".to_owned())
        }
        Err(_) => Err("Unable to listen on this port. Check server logs.".to_owned()),
    }
}

fn close_tcp(state: &mut State) {
    state.listeners.retain(|listener| listener.is_unix() || listener.is_of_core);
}
