//! Settings: any text, any command line and any CONFIG SET are taken or refused, what is refused changes nothing, and
//! what CONFIG GET shows may be set again.

use ringkey_core::settings::{Applied, Caller, Settings, directives, parse_command_line, parse_text};
use ringkey_core::words::{quote, split_words};

/// Input: text of a configuration file; behind a NUL, pairs for CONFIG SET, a line each; behind another one, words of a
/// command line and patterns for CONFIG GET.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let text = parts.next().unwrap_or_default();
    let pairs = parts.next().unwrap_or_default();
    let words: Vec<&[u8]> = parts.next().unwrap_or_default().split(|byte| matches!(byte, 0 | b'\n')).collect();

    let mut settings = Settings::new();
    for directive in directives(text) {
        match directive {
            Ok(directive) => apply(&mut settings, &directive),
            Err(error) => assert!(!error.block("0").is_empty() && parse_text(text).is_err()),
        }
    }
    set(&mut settings, pairs);
    settings.remarks();
    settings.get(&words);
    check_round_trip(&settings);

    let line = parse_command_line(&words);
    if let Ok(directives) = line.directives() {
        let mut settings = Settings::new();
        directives.iter().for_each(|directive| apply(&mut settings, directive));
    }
    for word in words {
        let mut quoted = Vec::new();
        quote(word, &mut quoted);
        assert_eq!(split_words(&quoted).as_deref(), Some(&[word.to_vec()][..]), "quotes lose nothing");
    }
}

fn apply(settings: &mut Settings, directive: &ringkey_core::settings::Directive) {
    let before = settings.clone();
    match settings.apply(directive) {
        Ok(Applied::Set(setting)) => assert!(!setting.row().name.is_empty()),
        Ok(_) => assert_eq!(*settings, before, "what is no setting sets nothing"),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(*settings, before, "a refused directive changes nothing");
        }
    }
}

/// CONFIG SET: each line of `text` is a call, its words separated by blanks.
fn set(settings: &mut Settings, text: &[u8]) {
    for line in text.split(|byte| *byte == b'\n') {
        let Some(words) = split_words(line) else { continue };
        let pairs: Vec<(&[u8], &[u8])> =
            words.chunks_exact(2).map(|pair| (pair[0].as_slice(), pair[1].as_slice())).collect();
        let before = settings.clone();
        let caller = Caller { is_local: line.len() % 2 == 0, while_loading: line.len() % 3 == 0 };
        match settings.set_many(&pairs, caller) {
            Ok(changed) => {
                for setting in changed {
                    assert_ne!(settings.value(setting), before.value(setting), "{setting:?} is said to have changed");
                }
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(*settings, before, "a refused CONFIG SET changes nothing");
            }
        }
    }
}

/// What CONFIG GET shows can be given to CONFIG SET, and CONFIG GET shows the same then. The value itself may differ: words
/// that have blanks in them are shown as several.
fn check_round_trip(settings: &Settings) {
    let defaults = Settings::new();
    let shown = settings.get(&["*"]).into_iter().zip(defaults.get(&["*"]));
    for ((name, value), _) in shown.filter(|(now, default)| now != default) {
        let mut again = settings.clone();
        if again.set_many(&[(name.as_slice(), value.as_slice())], Caller::default()).is_ok() {
            let shown = again.get(&[&name]);
            let text = String::from_utf8_lossy(&name);
            assert_eq!(shown, [(name.clone(), value)], "{text} is shown otherwise after it was set to what is shown");
        }
    }
}
