//! Two functions take two locks in opposite orders. Nothing hangs, not even a second thread is needed: having learnt one
//! order, lockdep stops the other before it blocks.

use lockdep::Mutex;

struct Bank {
    account: Mutex<i64>,
    ledger: Mutex<Vec<i64>>,
}

impl Bank {
    fn deposit(&self, amount: i64) {
        let mut account = self.account.lock();
        *account += amount;
        self.ledger.lock().push(amount);
    }

    fn audit(&self) -> bool {
        let ledger = self.ledger.lock();
        *self.account.lock() == ledger.iter().sum::<i64>()
    }
}

fn main() {
    let bank = Bank { account: Mutex::new(0), ledger: Mutex::new(Vec::new()) };
    bank.deposit(100);
    println!("the books balance: {}", bank.audit());
}
