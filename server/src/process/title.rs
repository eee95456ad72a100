//! The title of the process, which `ps` shows: `proc-title-template` with its variables filled in.

use crate::sys::process::TitleArea;
use ringkey_core::settings::{Setting, Settings};
use std::sync::Mutex;

/// Where the title goes, and what `{title}` stands for.
struct Title {
    area: TitleArea,
    program: String,
    config_file: String,
}

static TITLE: Mutex<Option<Title>> = Mutex::new(None);

/// Takes over the memory of the command line. To be called once, before there are threads; `program` is how the program
/// was called.
pub fn start(settings: &Settings, program: String, config_file: &str) {
    if !settings.bool(Setting::SetProcTitle) {
        return;
    }
    if let (Some(area), Ok(mut place)) = (TitleArea::take(), TITLE.lock()) {
        *place = Some(Title { area, program, config_file: config_file.to_owned() });
    }
    apply(settings);
}

/// Shows the title that the settings ask for.
pub fn apply(settings: &Settings) {
    if let Ok(mut place) = TITLE.lock()
        && let Some(title) = place.as_mut()
    {
        let text = fill(settings, &title.program, &title.config_file);
        title.area.write(&text);
    }
}

/// The template with its variables filled in, without blanks at its end.
fn fill(settings: &Settings, program: &str, config_file: &str) -> String {
    let text = |setting| String::from_utf8_lossy(settings.text(setting)).into_owned();
    let (port, socket) = (settings.int(Setting::Port), text(Setting::UnixSocket));
    let bind = settings.words(Setting::Bind).first().map(|word| String::from_utf8_lossy(word).into_owned());
    let address = match port {
        0 => socket.clone(),
        port => format!("{}:{port}", bind.as_deref().unwrap_or("*")),
    };
    let mut rest = text(Setting::ProcTitleTemplate);
    let mut title = String::new();
    // The row has checked the template: braces are in pairs and names are known.
    while let Some((before, inside, after)) = split_variable(&rest) {
        title.push_str(before);
        title.push_str(&match inside {
            "title" => program.to_owned(),
            "listen-addr" => address.clone(),
            "server-mode" if settings.bool(Setting::ClusterEnabled) => "[cluster]".to_owned(),
            "port" => port.to_string(),
            "tls-port" => settings.int(Setting::TlsPort).to_string(),
            "unixsocket" => socket.clone(),
            "config-file" => config_file.to_owned(),
            _ => String::new(),
        });
        rest = after.to_owned();
    }
    title.push_str(&rest);
    title.trim_end_matches(' ').to_owned()
}

fn split_variable(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    Some((before, inside, after))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::new();
        let text: String = pairs.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        for directive in ringkey_core::settings::directives(text.as_bytes()) {
            settings.apply(&directive.unwrap()).unwrap();
        }
        settings
    }

    #[test]
    fn titles() {
        let fill = |pairs: &[(&str, &str)]| super::fill(&settings(pairs), "prog", "/c.conf");
        assert_eq!(fill(&[]), "prog *:6379");
        assert_eq!(fill(&[("bind", "127.0.0.1 ::1"), ("cluster-enabled", "yes")]), "prog 127.0.0.1:6379 [cluster]");
        assert_eq!(fill(&[("port", "0"), ("unixsocket", "/s")]), "prog /s");
        let all = "\"X {title}|{port}|{tls-port}|{unixsocket}|{config-file}|{server-mode}|\"";
        assert_eq!(fill(&[("proc-title-template", all)]), "X prog|6379|0||/c.conf||");
    }
}
