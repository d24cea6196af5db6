# Two subnets, because the addresses of Managed Airflow change and security groups cannot name it: rules for Airflow are
# rules for its subnet, which contains nothing else.

resource "yandex_vpc_network" "this" {
  name   = var.name
  labels = var.labels
}

resource "yandex_vpc_gateway" "egress" {
  name   = "${var.name}-egress"
  labels = var.labels

  shared_egress_gateway {}
}

resource "yandex_vpc_route_table" "egress" {
  name       = "${var.name}-egress"
  network_id = yandex_vpc_network.this.id
  labels     = var.labels

  static_route {
    destination_prefix = "0.0.0.0/0"
    gateway_id         = yandex_vpc_gateway.egress.id
  }
}

resource "yandex_vpc_subnet" "machines" {
  name           = "${var.name}-machines"
  network_id     = yandex_vpc_network.this.id
  zone           = var.zone
  v4_cidr_blocks = [cidrsubnet(var.network_cidr, 8, 0)]
  route_table_id = yandex_vpc_route_table.egress.id
  labels         = var.labels
}

resource "yandex_vpc_subnet" "airflow" {
  name           = "${var.name}-airflow"
  network_id     = yandex_vpc_network.this.id
  zone           = var.zone
  v4_cidr_blocks = [cidrsubnet(var.network_cidr, 8, 1)]
  route_table_id = yandex_vpc_route_table.egress.id
  labels         = var.labels
}
