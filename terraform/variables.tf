variable "cloud_id" {
  description = "Id of the cloud (`yc config list`)."
  type        = string
}

variable "folder_id" {
  description = "Id of a folder that holds nothing else: some roles are given for the whole folder."
  type        = string
}

variable "name" {
  description = "Prefix of all names, short. Buckets take it too, and theirs are unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,28}[a-z0-9]$", var.name))
    error_message = "name: 4 to 30 lower-case letters, digits and hyphens; it begins with a letter and ends without a hyphen."
  }
}

variable "zone" {
  description = "Availability zone of everything."
  type        = string
  default     = "ru-central1-a"

  validation {
    condition     = can(regex("^ru-central1-[abd]$", var.zone))
    error_message = "zone: ru-central1-a, ru-central1-b or ru-central1-d."
  }
}

variable "network_cidr" {
  description = "Addresses of the network, a /16; two /24 of it are used."
  type        = string
  default     = "10.10.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.network_cidr)) && endswith(var.network_cidr, "/16")
    error_message = "network_cidr: an IPv4 network that ends with /16."
  }

  # Managed Airflow refuses any subnet of the network that overlaps the addresses of its own service.
  validation {
    condition     = !can(regex("^10\\.(24[89]|25[0-5])\\.", var.network_cidr))
    error_message = "network_cidr: 10.248.0.0/13 is taken by Managed Airflow."
  }
}

variable "admin" {
  description = <<-EOT
    The administrator's network and public SSH key. If given, the host of the steps gets the only public address here,
    with SSH open to that network alone; the way to the MLflow UI is a tunnel through it. If null, there is no public
    address, and you reach the network by your own VPN.
  EOT
  type        = object({ cidr = string, ssh_public_key = string })
  default     = null

  validation {
    condition     = var.admin == null || try(cidrnetmask(var.admin.cidr) != "" && tonumber(split("/", var.admin.cidr)[1]) >= 16, false)
    error_message = "admin.cidr: an IPv4 network of at most a /16, as 203.0.113.7/32; never 0.0.0.0/0."
  }

  validation {
    condition     = var.admin == null || try(can(regex("^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp256) [A-Za-z0-9+/=]+", var.admin.ssh_public_key)), false)
    error_message = "admin.ssh_public_key: one line as in ~/.ssh/id_ed25519.pub."
  }
}

variable "spark" {
  description = <<-EOT
    Where Spark runs. `host`: on the host of the steps. `dataproc`: on a permanent Data Processing cluster, steps on its
    master. `transient`: on one that the DAG makes and deletes. `managed`: a Managed Spark cluster for jobs that you
    submit yourself; the DAGs use the host.
  EOT
  type        = string
  default     = "host"

  validation {
    condition     = contains(["host", "dataproc", "transient", "managed"], var.spark)
    error_message = "spark: host, dataproc, transient or managed."
  }
}

variable "project" {
  description = "Git URL of the project, with an optional full commit; null is the copy that sync.py sends."
  type        = object({ url = string, commit = optional(string, "") })
  default     = null

  validation {
    condition     = var.project == null || try(can(regex("^(|[0-9a-f]{40})$", var.project.commit)), false)
    error_message = "project.commit: empty, or all 40 hexadecimal digits (MLflow fetches no abbreviated commit)."
  }

  validation {
    condition     = var.project == null || try(startswith(var.project.url, "https://"), false)
    error_message = "project.url: https://...; the machines may speak nothing else to the outside."
  }
}

variable "raw_data" {
  description = "Folder of raw files in the bucket `data`: what `retraining_input` names."
  type        = string
  default     = "raw/fraud"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.raw_data))
    error_message = "raw_data: a path without a slash at either end, as raw/fraud."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete databases, clusters, keys and secrets. Set it to false, and apply, before a destroy."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of everything that can have some."
  type        = map(string)
  default     = { project = "retraining" }
}
