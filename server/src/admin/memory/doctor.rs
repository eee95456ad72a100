//! MEMORY DOCTOR: what is remarkable about the use of memory, and what can be done.

use super::Figures;
use super::figures::ratio;

/// Below this there is nothing to tell, in bytes.
const USED_MIN: u64 = 5 << 20;

/// What is lost must be more than this to be worth a word, in bytes.
const LOST_MIN: i64 = 10 << 20;

/// Clients that hold more than this on average are many large ones, in bytes.
const CLIENT_MAX: u64 = 200 << 10;

/// The remarks, or that there are none.
pub fn report(figures: &Figures) -> String {
    if figures.used < USED_MIN {
        return "Hardly any memory is used: there is nothing to examine before there are some megabytes of data.\n"
            .to_owned();
    }
    let remarks = remarks(figures);
    if remarks.is_empty() {
        return "All is well: nothing about the use of memory is out of the ordinary.\n".to_owned();
    }
    let mut text = "What is out of the ordinary:\n".to_owned();
    for (name, words) in remarks {
        text.push_str(&format!("\n * {name}: {words}\n"));
    }
    text
}

fn remarks(figures: &Figures) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if ratio(figures.peak, figures.used) > 1.5 {
        let words = format!(
            "at some time {} bytes were used, more than one and a half times of what is used now. The ratio of resident \
             to used memory may be high for it, which then is no loss: the memory serves when it is needed again. To \
             give it to the system, call MEMORY PURGE.",
            figures.peak
        );
        found.push(("High peak", words));
    }
    let is_lost = |(ratio, bytes): (f64, i64), limit: f64| ratio > limit && bytes > LOST_MIN;
    let total = figures.total_fragmentation();
    if is_lost(total, 1.4) {
        let words = format!(
            "the process takes {:.2} times the memory that is used, {} bytes more. The remarks below tell where they are, \
             unless they stem from the peak.",
            total.0, total.1
        );
        found.push(("High total fragmentation", words));
    }
    let between = figures.fragmentation();
    if is_lost(between, 1.1) {
        let words = format!(
            "{} bytes lie unused between what is allocated ({:.2} bytes in active pages for each byte). Sizes of values \
             that keep changing do this; rewriting the data or a restart puts an end to it.",
            between.1, between.0
        );
        found.push(("High allocator fragmentation", words));
    }
    let held = figures.held_back();
    if is_lost(held, 1.1) {
        let words = format!(
            "the allocator holds {} bytes that it does not use ({:.2} bytes for each byte in active pages). It gives them \
             back in time; MEMORY PURGE does it at once.",
            held.1, held.0
        );
        found.push(("High allocator overhead", words));
    }
    let beside = figures.beside_allocator();
    if is_lost(beside, 1.1) {
        let words = format!(
            "{} bytes of the process are not the allocator's ({:.2} times the memory of the allocator). Stacks, the rings \
             and buffers of the cores and the program itself are in it: with little data and many cores that is so.",
            beside.1, beside.0
        );
        found.push(("High overhead of the process", words));
    }
    if figures.clients.checked_div(figures.client_count).unwrap_or(0) > CLIENT_MAX {
        let words = format!(
            "the {} clients hold {} bytes on average. Some read their replies too slowly, ask for very much at once, or \
             send very large requests: CLIENT LIST shows them (omem, qbuf, tot-mem), client-output-buffer-limit bounds \
             them.",
            figures.client_count,
            figures.clients / figures.client_count.max(1)
        );
        found.push(("Big client buffers", words));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::AllocatorView;

    const GIB: u64 = 1 << 30;

    fn figures(used: u64) -> Figures {
        let all = used as usize;
        Figures {
            used,
            peak: used,
            startup: 0,
            resident: used,
            allocator: AllocatorView { allocated: all, active: all, resident: all, muzzy: 0 },
            clients: 0,
            client_count: 1,
            tables: 0,
            expiries: 0,
            scripts: 0,
            functions: 0,
            overhead: 0,
            dataset: used,
            keys: 1,
        }
    }

    fn names(figures: &Figures) -> Vec<&'static str> {
        remarks(figures).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn says_nothing_where_there_is_nothing_to_say() {
        assert!(report(&figures(1 << 20)).starts_with("Hardly any"));
        assert!(report(&figures(GIB)).starts_with("All is well"));
    }

    #[test]
    fn remarks_on_what_is_out_of_the_ordinary() {
        assert_eq!(names(&Figures { peak: 2 * GIB, ..figures(GIB) }), ["High peak"]);
        assert_eq!(names(&Figures { clients: 1 << 20, ..figures(GIB) }), ["Big client buffers"]);
        let twice = AllocatorView { allocated: 1 << 30, active: 2 << 30, resident: 2 << 30, muzzy: 0 };
        let wide = Figures { resident: 2 * GIB, allocator: twice, ..figures(GIB) };
        assert_eq!(names(&wide), ["High total fragmentation", "High allocator fragmentation"]);
        let held = AllocatorView { resident: 3 << 30, ..AllocatorView { active: 1 << 30, ..twice } };
        let held = Figures { resident: 3 * GIB, allocator: held, ..figures(GIB) };
        assert_eq!(names(&held), ["High total fragmentation", "High allocator overhead"]);
        let beside = Figures { resident: 2 * GIB, ..figures(GIB) };
        assert_eq!(names(&beside), ["High total fragmentation", "High overhead of the process"]);
        assert!(report(&beside).contains(" * High overhead"));
        let small = Figures { resident: 18 << 20, ..figures(10 << 20) };
        assert_eq!(names(&small), Vec::<&str>::new(), "a few megabytes are not worth a word");
    }
}
