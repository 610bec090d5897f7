"""Addresses of offers and orders."""

from __future__ import annotations

from django.urls import path

from portal.pages import offer_desk, offers, order_acts, order_desk, orders, price_editor

urlpatterns = [
    path("offers/", offers.offers, name="offers"),
    path("offers/<str:number>/", offers.offer, name="offer"),
    path("offers/<str:number>/order/", offers.offer_order, name="offer_order"),
    path("offers/<str:number>/quote/", offers.offer_quote, name="offer_quote"),
    path("orders/", orders.orders_list, name="orders"),
    path("orders/<str:number>/", orders.order, name="order"),
    path("orders/<str:number>/acts/<str:act>/", order_acts.order_act, name="order_act"),
    path("orders/<str:number>/files/", orders.order_upload, name="order_upload"),
    path("orders/<str:number>/files/<int:file_id>/", orders.order_file, name="order_file"),
    path("orders/<str:number>/refund/", order_desk.order_refund, name="order_refund"),
    path("orders/<str:number>/usage/", order_desk.order_usage, name="order_usage"),
    path("orders/<str:number>/usage/csv/", order_desk.order_usage_csv, name="order_usage_csv"),
    path("orders/<str:number>/usage/template/", order_desk.order_usage_template, name="order_usage_template"),
    path("shop/offers/", offer_desk.my_offers, name="my_offers"),
    path("shop/offers/new/", offer_desk.offer_new, name="offer_new"),
    path("shop/offers/<str:number>/edit/", offer_desk.offer_edit, name="offer_edit"),
    path("shop/offers/<str:number>/prices/", price_editor.offer_prices, name="offer_prices"),
    path("shop/offers/<str:number>/state/", offer_desk.offer_state, name="offer_state"),
    path("shop/offers/<str:number>/withdraw/", offer_desk.offer_withdraw, name="offer_withdraw"),
    path("shop/orders/", order_desk.order_queue, name="order_queue"),
    path("oversight/orders/", orders.overseen, name="overseen_orders"),
]
