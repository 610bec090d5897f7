"""Reach offers and orders: everybody sees what is on sale; an order is seen by its buyer, its provider, and the department
whose voucher pays it.
"""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from vouchers.charges.models import ChargePart
from vouchers.offers.models import Offer, Order

RELATED = (
    "offer",
    "offer__provider",
    "price_list",
    "organisation",
    "placed_by",
    "charge",
    "charge__voucher",
    "charge__payment",
    "again_of",
)


def offers_visible_to(actor: Actor | None) -> QuerySet[Offer]:
    """Return what is on sale, and the actor's own offers in every state."""
    seen = Q(state=Offer.State.PUBLISHED.value)
    if actor is not None and actor.may(Permission.OFFER_MANAGE):
        seen |= Q(provider_id=actor.organisation_id)
    return Offer.objects.filter(seen).select_related("provider")


def on_sale() -> QuerySet[Offer]:
    """Return the catalogue."""
    return Offer.objects.filter(state=Offer.State.PUBLISHED.value).select_related("provider")


def own_offers(actor: Actor) -> QuerySet[Offer]:
    """Return the provider's offers. Raises Forbidden without the permission."""
    actor.require(Permission.OFFER_MANAGE)
    return Offer.objects.filter(provider_id=actor.acting_for).select_related("provider")


def get_offer(actor: Actor | None, number: str) -> Offer:
    """Return an offer the actor may see; one that was bought stays readable to its buyer. Raises NotFound."""
    offer = offers_visible_to(actor).filter(number=number).first()
    if offer is None and actor is not None:
        bought = Q(orders__organisation_id=actor.organisation_id) & Q(orders__isnull=False)
        offer = Offer.objects.filter(bought, number=number).select_related("provider").first()
    if offer is None:
        raise NotFound
    return offer


def get_own_offer(actor: Actor, number: str) -> Offer:
    """Return one of the provider's own offers. Raises NotFound, Forbidden."""
    offer = own_offers(actor).filter(number=number).first()
    if offer is None:
        raise NotFound
    return offer


def own_orders(actor: Actor) -> QuerySet[Order]:
    """Return the orders the actor's organisation placed. Raises Forbidden without the permission."""
    actor.require(Permission.ORDER_PLACE)
    return Order.objects.filter(organisation_id=actor.acting_for).select_related(*RELATED)


def served_orders(actor: Actor) -> QuerySet[Order]:
    """Return the orders on the provider's offers. Raises Forbidden without the permission."""
    actor.require(Permission.ORDER_SERVE)
    return Order.objects.filter(offer__provider_id=actor.acting_for).select_related(*RELATED)


def overseen_orders(actor: Actor) -> QuerySet[Order]:
    """Return the orders paid with a voucher of the department's programmes. Raises Forbidden without the permission."""
    actor.require(Permission.ORDER_READ)
    return Order.objects.filter(overseen(actor)).select_related(*RELATED)


def overseen(actor: Actor) -> Q:
    """Return what holds of the orders of which any part is paid by a voucher of the department's programmes."""
    department = {"voucher__application__version__programme__department_id": actor.organisation_id}
    return Q(charge__in=ChargePart.objects.filter(**department).values("charge"))


def visible_to(actor: Actor) -> QuerySet[Order]:
    """Return every order the actor may see."""
    seen = Q(pk__in=[])
    if actor.may(Permission.ORDER_PLACE):
        seen |= Q(organisation_id=actor.organisation_id)
    if actor.may(Permission.ORDER_SERVE):
        seen |= Q(offer__provider_id=actor.organisation_id)
    if actor.may(Permission.ORDER_READ):
        seen |= overseen(actor)
    return Order.objects.filter(seen).select_related(*RELATED)


def get_order(actor: Actor, number: str) -> Order:
    """Return an order the actor may see. Raises NotFound."""
    order = visible_to(actor).filter(number=number).first()
    if order is None:
        raise NotFound
    return order


def is_buyer(actor: Actor, order: Order) -> bool:
    return actor.may(Permission.ORDER_PLACE) and order.organisation_id == actor.organisation_id


def is_provider(actor: Actor, order: Order) -> bool:
    return actor.may(Permission.ORDER_SERVE) and order.offer.provider_id == actor.organisation_id


def get_own(actor: Actor, number: str) -> Order:
    """Return an order the actor's organisation placed. Raises NotFound, Forbidden."""
    order = get_order(actor, number)
    if not is_buyer(actor, order):
        raise Forbidden
    return order


def get_served(actor: Actor, number: str) -> Order:
    """Return an order on one of the actor's own offers. Raises NotFound, Forbidden."""
    order = get_order(actor, number)
    if not is_provider(actor, order):
        raise Forbidden
    return order
