//! A declared order. `lockdep.order` beside this file says which lock comes before which; a run with `LOCKDEP_OUT=DIR`
//! keeps what really happened, and `cargo lockdep audit --order examples/lockdep.order --observed DIR/*.jsonl` holds the
//! one against the other: what was confirmed, what was never exercised, what nobody has declared.

use lockdep::{LockClass, Mutex, RwLock, Subclass};

static RATES: LockClass = LockClass::new("rates");
static ACCOUNT: LockClass = LockClass::new("account");
static LEDGER: LockClass = LockClass::new("ledger");
static DISK: LockClass = LockClass::new("disk");
static MAILBOX: LockClass = LockClass::new("mailbox");
static STATISTICS: LockClass = LockClass::new("statistics");

/// The second account of a transfer.
const TO: Subclass = Subclass::new(1);

struct Bank {
    rates: RwLock<i64>,
    accounts: Vec<Mutex<i64>>,
    ledger: Mutex<Vec<(usize, usize, i64)>>,
    disk: Mutex<Vec<u8>>,
    mailbox: Mutex<Vec<String>>,
    saves: Mutex<u32>,
}

impl Bank {
    fn new(accounts: usize) -> Self {
        Self {
            rates: RwLock::new_in(&RATES, 2),
            accounts: (0..accounts).map(|_| Mutex::new_in(&ACCOUNT, 100)).collect(),
            ledger: Mutex::new_in(&LEDGER, Vec::new()),
            disk: Mutex::new_in(&DISK, Vec::new()),
            mailbox: Mutex::new_in(&MAILBOX, Vec::new()),
            saves: Mutex::new_in(&STATISTICS, 0),
        }
    }

    /// Moves money; the fee is what the rates say. The account with the lower number is locked first.
    fn transfer(&self, from: usize, to: usize, amount: i64) {
        let fee = self.rates.read();
        let mut first = self.accounts[from.min(to)].lock();
        let mut second = self.accounts[from.max(to)].lock_nested(TO);
        let (payer, payee) = if from < to { (&mut *first, &mut *second) } else { (&mut *second, &mut *first) };
        *payer -= amount + *fee;
        *payee += amount;
        if *payer < 0 {
            self.mailbox.lock().push(format!("account {from} is overdrawn"));
        }
        self.ledger.lock().push((from, to, amount));
    }

    /// Writes the ledger down.
    fn save(&self) {
        let ledger = self.ledger.lock();
        let lines = ledger.iter().map(|(from, to, amount)| format!("{from} {to} {amount}\n"));
        *self.disk.lock() = lines.collect::<String>().into_bytes();
        *self.saves.lock() += 1; // Nobody has declared this one.
    }
}

fn main() {
    let bank = Bank::new(3);
    std::thread::scope(|scope| {
        scope.spawn(|| bank.transfer(0, 1, 10));
        scope.spawn(|| bank.transfer(2, 1, 20));
    });
    bank.save();
    let total: i64 = bank.accounts.iter().map(|account| *account.lock()).sum();
    println!("{total} left after fees");
    println!("{} bytes on disk", bank.disk.lock().len());
    println!("{} save", bank.saves.lock());
    println!("{} finding(s)", lockdep::take_reports().len());
}
