# A machine that installs its own security updates. Its user-data contains no secrets and no ids, so that a plan shows it
# completely: ids are in the metadata key `settings`, secrets come from Lockbox at every boot.

locals {
  upgrades = {
    "/etc/apt/apt.conf.d/20auto-upgrades" = "APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n"
  }

  admins = var.admin_key == null ? [] : [{
    name                = "admin"
    shell               = "/bin/bash"
    sudo                = "ALL=(ALL) NOPASSWD:ALL"
    ssh_authorized_keys = [var.admin_key]
  }]
  users = concat(var.users, local.admins)

  user_data = merge(length(local.users) == 0 ? {} : { users = local.users }, { # cloud-init accepts no empty list
    package_update = true
    packages       = concat(var.packages, ["unattended-upgrades"])
    write_files = [
      for path, text in merge(var.files, local.upgrades) :
      { path = path, content = text, permissions = strcontains(path, "/sbin/") ? "0755" : "0644", owner = "root:root" }
    ]
    runcmd = var.commands
  })
}

resource "yandex_compute_instance" "this" {
  name                      = var.name
  hostname                  = split(".", var.hostname)[0]
  platform_id               = "standard-v3"
  zone                      = var.zone
  service_account_id        = var.service_account_id
  allow_stopping_for_update = true
  labels                    = var.labels

  resources {
    cores  = var.size.cores
    memory = var.size.memory
  }

  scheduling_policy {
    preemptible = var.size.preemptible
  }

  boot_disk {
    initialize_params {
      image_id   = var.image_id
      size       = var.size.disk
      type       = "network-ssd"
      kms_key_id = var.kms_key_id
    }
  }

  network_interface {
    subnet_id          = var.subnet_id
    nat                = var.public_address
    security_group_ids = [var.security_group_id]
  }

  metadata = {
    user-data          = "#cloud-config\n${yamlencode(local.user_data)}"
    serial-port-enable = "0"
    settings           = jsonencode(var.settings)
  }

  metadata_options {
    gce_http_endpoint    = 1
    gce_http_token       = 1
    aws_v1_http_endpoint = 2
    aws_v1_http_token    = 2
  }

  lifecycle {
    ignore_changes = [boot_disk[0].initialize_params[0].image_id]
  }
}
