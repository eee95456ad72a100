//! CONFIG: settings are decided on core 0, one change after the other, and adopted by all cores before the client
//! hears `OK`.

use super::{Then, write_help};
use crate::configuration;
use crate::listen;
use crate::mailbox::letter::{Answer, Question};
use crate::session::Session;
use crate::state::State;
use crate::tuning::Tuning;
use ringkey_core::command::Admin;
use ringkey_core::resp::{Args, CommandError, Reply};
use ringkey_core::settings::{Caller, Extent, SetError, Setting, Settings};
use std::sync::Arc;

const HELP: &[&str] = &[
    "GET <pattern> [<pattern> ...]",
    "    The settings whose names fit a pattern, and their values.",
    "RESETSTAT",
    "    Set the counters of INFO to zero.",
    "REWRITE",
    "    Write the settings in force into the configuration file.",
    "SET <directive> <value> [<directive> <value> ...]",
    "    Change settings, all or none.",
];

/// Carries out a CONFIG subcommand.
///
/// # Errors
/// The refusal.
pub fn carry_out(state: &mut State, session: &mut Session, admin: Admin, args: &Args<'_>) -> Result<(), CommandError> {
    match admin {
        Admin::ConfigGet => {
            let patterns: Vec<&[u8]> = args.iter_from(2).collect();
            let found = state.settings.get(&patterns);
            let mut reply = Reply::new(&mut session.output.pending, session.protocol);
            reply.map(found.len());
            for (name, value) in &found {
                reply.bulk(name);
                reply.bulk(value);
            }
        }
        Admin::ConfigSet => {
            if !args.len().is_multiple_of(2) {
                return Err(CommandError::Syntax);
            }
            let changes =
                (2..args.len()).step_by(2).map(|at| (args.get(at).to_vec(), args.get(at + 1).to_vec())).collect();
            let question = Question::ChangeSettings(Arc::new(changes), session.is_local());
            state.gather_answers(session, [0], &question, Then::Ok);
        }
        Admin::ConfigRewrite => {
            state.gather_answers(session, [0], &Question::RewriteSettings(Extent::Changed), Then::Ok);
        }
        Admin::ConfigResetStat => state.gather_from_all(session, &Question::ResetStatistics, Then::Ok),
        _ => write_help(session, "CONFIG", HELP),
    }
    Ok(())
}

/// Decides a change (on core 0) and returns the settings that all cores are to adopt.
///
/// # Errors
/// The refusal; nothing has changed.
pub fn change(
    state: &mut State,
    changes: &[(Vec<u8>, Vec<u8>)],
    is_local: bool,
) -> Result<Arc<Settings>, CommandError> {
    let mut settings = (*state.settings).clone();
    let changed =
        settings.set_many(changes, Caller { is_local, while_loading: false }).map_err(|error| match error {
            SetError::Loading => CommandError::Coded("LOADING", "the dataset is being loaded".into()),
            error => CommandError::owned(error.to_string()),
        })?;
    for (at, setting) in changed.iter().enumerate() {
        if *setting == Setting::Port && changed.contains(&Setting::Bind) {
            // The addresses have been opened with the new port.
            continue;
        }
        if let Err(reason) = crate::settings_effect::apply(state, &mut settings, *setting) {
            // All or none: what took effect is taken back.
            let mut old = (*state.settings).clone();
            for setting in &changed[..at] {
                let _ = crate::settings_effect::apply(state, &mut old, *setting);
            }
            return Err(CommandError::owned(SetError::refused(*setting, reason).to_string()));
        }
    }
    changed.iter().filter_map(|setting| setting.row().remark()).for_each(|remark| log::warn!("{remark}"));
    let settings = Arc::new(settings);
    // The next change, which may be decided before the letters have gone round, builds on this one.
    adopt(state, Arc::clone(&settings));
    Ok(settings)
}

/// Has the settings in force written into the configuration file (on core 0). The disk may take its time, so no core
/// waits for it; the answer comes when the file is safe.
///
/// # Errors
/// There is no file, or nobody to write it.
pub fn rewrite(state: &mut State, from: Option<usize>, ticket: u64, extent: Extent) -> Result<(), CommandError> {
    let path = state.process.config_file.clone();
    if path.as_os_str().is_empty() {
        return Err(CommandError::text("The server is running without a config file"));
    }
    let settings = Arc::clone(&state.settings);
    let work = move || match configuration::rewrite_file(&path, &settings, extent) {
        Ok(()) => {
            log::info!("CONFIG REWRITE executed with success.");
            Answer::Done
        }
        Err(error) => {
            let reason = listen::plain(&error);
            log::warn!("CONFIG REWRITE failed: {reason}");
            Answer::Refused(CommandError::owned(format!("Rewriting config file: {reason}")))
        }
    };
    let given = match &mut state.aside {
        Some(aside) => aside.give((from, ticket), work),
        None => Err(std::io::ErrorKind::NotFound.into()),
    };
    given.map_err(|error| CommandError::owned(format!("Rewriting config file: {}", listen::plain(&error))))
}

/// Makes a core act by new settings.
pub fn adopt(state: &mut State, settings: Arc<Settings>) {
    state.tuning = Tuning::new(&settings);
    state.settings = settings;
    state.apply_rules();
}
