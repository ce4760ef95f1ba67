"""What is imported from Phorest as one list each: branches, categories, clients, staff, services, products.

Belongs here: these assets. Does not: appointments and purchases, which are read in other ways.
"""

import dagster as dg

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.failures import failures_as_sentences
from phorest_ghl.defs.phorest.importing import (
    DAILY,
    EVERY_TWO_HOURS,
    ImportConfig,
    importer_of,
    key_of,
    reads_all,
    report,
    settings_of,
)
from phorest_ghl.phorest import specs

BRANCHES = key_of("branches")
CLIENT_CATEGORIES = key_of("client_categories")
CLIENTS = key_of("clients")
STAFF = key_of("staff")
SERVICE_CATEGORIES = key_of("service_categories")
SERVICES = key_of("services")
PRODUCTS = key_of("products")


@dg.asset(**settings_of("branches", specs.BRANCHES, DAILY))
def branches(context: dg.AssetExecutionContext, salon: dg.ResourceParam[Runtime]) -> dg.MaterializeResult:
    """One row per branch of the business, with the time zone that its appointments are in."""
    with failures_as_sentences():
        return report(context, salon, specs.BRANCHES, importer_of(salon).run(specs.BRANCHES))


@dg.asset(**settings_of("client_categories", specs.CLIENT_CATEGORIES, DAILY))
def client_categories(context: dg.AssetExecutionContext, salon: dg.ResourceParam[Runtime]) -> dg.MaterializeResult:
    """One row per category that clients are put in, archived ones included."""
    with failures_as_sentences():
        return report(context, salon, specs.CLIENT_CATEGORIES, importer_of(salon).run(specs.CLIENT_CATEGORIES))


@dg.asset(**settings_of("clients", specs.CLIENTS, EVERY_TWO_HOURS))
def clients(
    context: dg.AssetExecutionContext, config: ImportConfig, salon: dg.ResourceParam[Runtime]
) -> dg.MaterializeResult:
    """One row per client of the business, archived, deleted and merged ones included, as Phorest sends them.

    Brings the branches, client categories and staff along: all are small, a client refers to them, and an address of the
    staff is no contact point of a client who is somebody else.
    """
    with failures_as_sentences():
        results = importer_of(salon).clients(full=reads_all(context, config))
        result = results.pop("client")
        return report(context, salon, specs.CLIENTS, result, results.values())


@dg.asset(**settings_of("staff", specs.STAFF, DAILY, [BRANCHES]))
def staff(context: dg.AssetExecutionContext, salon: dg.ResourceParam[Runtime]) -> dg.MaterializeResult:
    """One row per person and branch, archived ones and the diary's columns for rooms included."""
    return _of_branches(context, salon, specs.STAFF)


@dg.asset(**settings_of("service_categories", specs.SERVICE_CATEGORIES, DAILY, [BRANCHES]))
def service_categories(context: dg.AssetExecutionContext, salon: dg.ResourceParam[Runtime]) -> dg.MaterializeResult:
    """One row per group of services and branch."""
    return _of_branches(context, salon, specs.SERVICE_CATEGORIES)


@dg.asset(**settings_of("services", specs.SERVICES, DAILY, [BRANCHES]))
def services(context: dg.AssetExecutionContext, salon: dg.ResourceParam[Runtime]) -> dg.MaterializeResult:
    """One row per service and branch, at the branch's price; archived ones are kept once they were seen."""
    return _of_branches(context, salon, specs.SERVICES)


@dg.asset(**settings_of("products", specs.PRODUCTS, DAILY, [BRANCHES]))
def products(context: dg.AssetExecutionContext, salon: dg.ResourceParam[Runtime]) -> dg.MaterializeResult:
    """One row per product and branch, with its stock there, archived ones included."""
    return _of_branches(context, salon, specs.PRODUCTS)


def _of_branches(context: dg.AssetExecutionContext, salon: Runtime, spec: specs.ImportSpec) -> dg.MaterializeResult:
    with failures_as_sentences():
        return report(context, salon, spec, importer_of(salon).of_branches(spec))
