//! mm-sim
use mm_sim::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let s = scenario::named(a.get(1).map_or("mail", |s| s)).unwrap();
    let s = &s.with_memory(std::env::var("MEM").map_or(s.memory, |m| m.parse().unwrap()));
    let n: u64 = a.get(3).map_or(1, |s| s.parse().unwrap());
    for p in Protocol::ALL {
        if a.get(2).is_some_and(|w| w != "all" && w != p.name) { continue }
        for seed in 1..=n {
            let t = std::time::Instant::now();
            let o = run(s, p, seed);
            println!("{} {} {} {} | {} | {} steps {:?} {:?}", if o.is_expected {"ok "} else {"BAD"}, o.scenario, o.protocol, seed, o.verdict, o.steps, t.elapsed(), o.stats);
            for f in o.findings.iter().take(5) { println!("   {f:?}"); }
            if let Some(d) = o.deadlock.as_ref().filter(|_| std::env::var("DL").is_ok()) { println!("{d}"); }
            if std::env::var("SHOW").is_ok() { for r in &o.reports { println!("{}", lockdep_report::text::render(r)); } }
        }
    }
}
