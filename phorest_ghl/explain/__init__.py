"""Why a record is as it is: what Phorest says, who shares the contact, the rule behind each field, what was sent, what waits.

Belongs here: putting together for one record what the planner, the ledger and the mirror know. Does not: any rule of its
own (what would be written is asked of the planner itself), writing anything, printing (`phorest_ghl.commands.explain`).
"""
