//! The servers of a ring as lines, for `/status` and `status --watch`.

use super::text::{Line, Piece, safe, width};
use super::tone::Tone;
use crate::cli::commands::status::{is_healthy, state, via};
use crate::cli::shown::counted;
use crate::wire::session::{ServerState, ServerStatus, Status};

/// The first line: the net, its health, who leads, how much there is.
pub(crate) fn summary(status: &Status) -> Line {
    let health = if is_healthy(status) { ("healthy", Tone::Good) } else { ("degraded", Tone::Bad) };
    let leads = match status.epoch {
        Some(epoch) => format!("{} leads (epoch {})", safe(&status.leader), epoch.num),
        None => "nobody leads".to_owned(),
    };
    vec![
        Piece::new(format!("net {} · ", safe(&status.net)), Tone::Plain),
        Piece::new(health.0, health.1),
        Piece::new(
            format!(" · {leads} · {} in {}", counted(status.messages, "message"), counted(status.rooms, "room")),
            Tone::Plain,
        ),
    ]
}

/// A server's name in the tone of its state.
pub(crate) fn name(server: &ServerStatus) -> Line {
    let crown = if server.state == ServerState::Leader { "★ " } else { "  " };
    vec![Piece::new(crown, Tone::Waiting), Piece::new(safe(&server.name), tone(server.state))]
}

/// A line for each server, all columns or those that matter most, then what is wrong.
pub(crate) fn lines(status: &Status, is_wide: bool) -> Vec<Line> {
    let mut rows: Vec<Vec<Piece>> = vec![headings(is_wide)];
    rows.extend(status.servers.iter().map(|server| cells(server, is_wide)));
    let columns = rows[0].len();
    let widest = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| width(&cell.text)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let pad = |row: Vec<Piece>| {
        let padded = |(cell, width_of): (Piece, &usize)| {
            let gap = " ".repeat(width_of.saturating_sub(width(&cell.text)) + 2);
            [cell, Piece::new(gap, Tone::Plain)]
        };
        row.into_iter().zip(&widths).flat_map(padded).collect::<Line>()
    };
    let mut lines: Vec<Line> = rows.into_iter().map(pad).collect();
    for problem in &status.problems {
        lines.push(vec![Piece::new(format!("! {}", safe(problem)), Tone::Bad)]);
    }
    lines
}

fn headings(is_wide: bool) -> Line {
    let narrow = ["  server", "state", "stable", "lag", "clients", "loss"];
    let wide = ["  server", "id", "address", "state", "via", "stable", "lag", "clients", "nacks/min", "loss"];
    let names: &[&str] = if is_wide { &wide } else { &narrow };
    names.iter().map(|name| Piece::new(*name, Tone::Bold)).collect()
}

fn cells(server: &ServerStatus, is_wide: bool) -> Line {
    let text = |text: String| Piece::new(text, Tone::Plain);
    let crown = if server.state == ServerState::Leader { "★ " } else { "  " };
    let name = Piece::new(format!("{crown}{}", safe(&server.name)), tone(server.state));
    let shown = Piece::new(state(server.state).replace('_', " "), tone(server.state));
    let loss_tone = if server.loss_per_mille >= 50 { Tone::Bad } else { Tone::Plain };
    let loss = Piece::new(format!("{:.1} %", f64::from(server.loss_per_mille) / 10.0), loss_tone);
    let (stable, lag, clients) = (server.stable.to_string(), server.lag.to_string(), server.clients.to_string());
    if !is_wide {
        return vec![name, shown, text(stable), text(lag), text(clients), loss];
    }
    let (id, addr) = (server.pid.server.to_string(), server.addr.to_string());
    let nacks = server.nacks_per_min.to_string();
    let via = via(server).to_owned();
    vec![name, text(id), text(addr), shown, text(via), text(stable), text(lag), text(clients), text(nacks), loss]
}

fn tone(state: ServerState) -> Tone {
    match state {
        ServerState::Leader | ServerState::Member => Tone::Good,
        ServerState::Joining | ServerState::CatchingUp => Tone::Waiting,
        ServerState::Unreachable => Tone::Bad,
    }
}
